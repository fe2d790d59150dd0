import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { withTransaction, type Transaction } from '../db/pool.js';
import { RejectedError } from '../saga/errors.js';
import type { StepAction } from '../saga/ids.js';
import type { MessageContract } from '../saga/message-contract.js';
import { unwrapped, type Wrap } from '../saga/wrap.js';
import { days, DEFAULT_WINDOWS, WindowError, type InboxWindow } from '../saga/windows.js';
import { createInbox, type InboxAnswer } from './inbox.js';
import type { Message } from './message.js';

/**
 * The business change that a message asks for, in the transaction of the inbox: `tx` is open, its commit is the kit's.
 * Throw {@link RejectedError} to refuse for good; anything else means that it may be tried again.
 */
export type MessageHandler<Payload, Result> = (tx: Transaction, payload: Payload, message: Message) => Promise<Result>;

/** A downstream service: what it handles, and how it answers. */
export interface Participant {
  readonly consumer: string;
  /** Message types it handles. */
  readonly types: readonly string[];
  /**
   * Applies a message at most once and commits. What it answers stands, whatever happens afterwards.
   *
   * @throws UnknownTypeError when no handler is there for its type
   * @throws WrongActionError when a `do` comes under the key of an `undo`, or the reverse
   * @throws Error of the handler or the database: the outcome is unknown and the message is to be sent again
   */
  deliver(message: Message): Promise<InboxAnswer>;
}

/** A participant to which handlers are still being added. */
export interface ParticipantBuilder {
  /**
   * Handles a message type.
   *
   * @throws TypeError when it is handled already
   * @example participant.handle(inventory.deduct, async (tx, payload, { effectKey }) => takeStock(tx, payload, effectKey));
   */
  handle<Payload, Result>(
    contract: MessageContract<Payload, Result>,
    handler: MessageHandler<NoInfer<Payload>, NoInfer<Result>>,
  ): ParticipantBuilder;
  /**
   * Checks the whole.
   *
   * @throws TypeError that names the message whose undo nobody handles
   * @throws WindowError when the inbox forgets what its senders may send again
   */
  build(): Participant;
}

/** What a participant needs from outside. */
export interface ParticipantOptions {
  /** Its name in the inbox; never renamed, or everything could be applied again. */
  readonly consumer: string;
  readonly pool: pg.Pool;
  /** Where its inbox lives. @default the consumer's name */
  readonly schema?: string;
  /** What the inbox remembers, and what its senders need. @default 30 days, for senders that need no more */
  readonly inbox?: InboxWindow;
  /** Told of each answer once it is committed. */
  readonly onAnswer?: (message: Message, answer: InboxAnswer) => void;
  /** Passed the `inbox` and the finished `participant` once. @default hands them on as they are */
  readonly wrap?: Wrap;
}

/** Thrown when a message has a type that the participant does not handle; nothing was changed. */
export class UnknownTypeError extends Error {
  override readonly name = 'UnknownTypeError';
}

/** Thrown when a message's effect key says `do` and its type is an undo, or the reverse; nothing was changed. */
export class WrongActionError extends Error {
  override readonly name = 'WrongActionError';
}

/** The code of a stored rejection whose cause is the payload itself. */
export const INVALID_PAYLOAD = 'invalid-payload';

/** Deadlocks and serialization failures are undone by the database and may be run again at once. */
const CONTENTION: ReadonlySet<string> = new Set(['40001', '40P01']);
const MAX_ATTEMPTS = 5;

/** What senders read of an answer at the most. */
const MAX_RESULT_BYTES = 64 * 1024;

/** What an inbox remembers unless it is told otherwise: 30 days, for senders that need no more. */
export const DEFAULT_INBOX: InboxWindow = { windowMs: DEFAULT_WINDOWS.inboxMs, resendMs: DEFAULT_WINDOWS.inboxMs };

interface Handled {
  readonly contract: MessageContract<unknown>;
  readonly handler: MessageHandler<unknown, unknown>;
}

/**
 * A consumer that is correct by construction: each message runs in one transaction with its record in the inbox.
 *
 * @example
 * const participant = createParticipant({ consumer: 'inventory', pool })
 *   .handle(inventory.deduct, deduct)
 *   .handle(inventory.release, release)
 *   .build();
 */
export function createParticipant(options: ParticipantOptions): ParticipantBuilder {
  const handled = new Map<string, Handled>();
  const builder: ParticipantBuilder = {
    handle: (contract, handler) => {
      if (handled.has(contract.type)) throw new TypeError(`'${contract.type}' is handled twice; keep one handler`);
      handled.set(contract.type, { contract, handler } as unknown as Handled);
      return builder;
    },
    build: () => build(options, handled),
  };
  return builder;
}

function build(options: ParticipantOptions, handled: ReadonlyMap<string, Handled>): Participant {
  const { consumer, pool, schema = consumer, onAnswer, wrap = unwrapped } = options;
  const undone = new Set<string>();
  for (const { contract } of handled.values()) {
    if (!contract.undo) continue;
    undone.add(contract.undo.type);
    if (!handled.has(contract.undo.type)) {
      throw new TypeError(
        `'${consumer}' handles '${contract.type}' but not its undo '${contract.undo.type}'; handle both`,
      );
    }
  }
  const { windowMs } = checkWindow(consumer, options.inbox);
  const inbox = wrap('inbox', createInbox({ consumer, schema, windowMs }));
  const deliver = async (message: Message): Promise<InboxAnswer> => {
    const found = handled.get(message.type);
    if (!found) throw new UnknownTypeError(`'${consumer}' does not handle '${message.type}'`);
    checkAction(message, undone.has(message.type) ? 'undo' : 'do');
    const answer = await retryContention(() =>
      withTransaction(pool, (tx) => inbox.apply(tx, message, () => run(tx, message, found))),
    );
    onAnswer?.(message, answer);
    return answer;
  };
  return wrap('participant', { consumer, types: [...handled.keys()], deliver });
}

function checkWindow(consumer: string, window = DEFAULT_INBOX): InboxWindow {
  const { windowMs, resendMs } = window;
  if (windowMs >= resendMs) return window;
  throw new WindowError(
    `'${consumer}': the inbox window of ${days(windowMs)} is shorter than the ${days(resendMs)} in which its senders may send ` +
      `a message again; raise inbox.windowMs`,
  );
}

function checkAction({ type, effect, effectKey }: Message, expected: StepAction): void {
  if (effect.action === expected) return;
  throw new WrongActionError(`'${type}' is sent under keys that end in '/${expected}', not under '${effectKey}'`);
}

/** Runs inside the inbox, so that a payload which today's schema refuses stays refused after tomorrow's deployment. */
async function run(tx: Transaction, message: Message, { contract, handler }: Handled): Promise<unknown> {
  const payload = contract.payload.safeParse(message.payload);
  if (!payload.success) {
    const [issue] = payload.error.issues;
    const path = issue?.path.join('.');
    throw new RejectedError(
      INVALID_PAYLOAD,
      `${path ? `payload.${path}` : 'payload'}: ${issue?.message ?? 'is invalid'}`,
    );
  }
  const result = contract.result.safeParse(await handler(tx, payload.data, message));
  const fault = result.success ? findOversize(result.data) : result.error.message;
  if (fault === undefined) return result.data;
  throw new TypeError(`the handler of '${message.type}' returned what its contract forbids: ${fault}`);
}

/** A result that its sender would refuse to read must not be applied: every repetition would get the same. */
function findOversize(result: unknown): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(result) ?? '');
  return bytes > MAX_RESULT_BYTES ? `a result of ${bytes} bytes; ${MAX_RESULT_BYTES} is the most` : undefined;
}

async function retryContention<T>(attempt: () => Promise<T>): Promise<T> {
  for (let made = 1; ; made += 1) {
    try {
      return await attempt();
    } catch (error) {
      if (made === MAX_ATTEMPTS || !CONTENTION.has((error as { code?: string }).code ?? '')) throw error;
      // of two that met in a deadlock, one must come back later
      await delay(Math.random() * 20 * made);
    }
  }
}
