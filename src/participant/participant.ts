import { setTimeout as delay } from 'node:timers/promises';
import type pg from 'pg';
import { withTransaction, type Transaction } from '../db/pool.js';
import type { MessageContract } from '../saga/message-contract.js';
import { unwrapped, type Wrap } from '../saga/wrap.js';
import type { InboxWindow } from '../saga/windows.js';
import { checkWindow, createHandlerRegistry, runHandler, type Handlers } from './handlers.js';
import { createInbox, type InboxAnswer } from './inbox.js';
import type { Message } from './message.js';

export { DEFAULT_INBOX, INVALID_PAYLOAD, UnknownTypeError, WrongActionError } from './handlers.js';

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

/** Deadlocks and serialization failures are undone by the database and may be run again at once. */
const CONTENTION: ReadonlySet<string> = new Set(['40001', '40P01']);
const MAX_ATTEMPTS = 5;

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
  const registry = createHandlerRegistry<MessageHandler<unknown, unknown>>(options.consumer);
  const builder: ParticipantBuilder = {
    handle: (contract, handler) => {
      registry.add(contract as MessageContract<unknown>, handler as MessageHandler<unknown, unknown>);
      return builder;
    },
    build: () => build(options, registry.build()),
  };
  return builder;
}

function build(options: ParticipantOptions, handlers: Handlers<MessageHandler<unknown, unknown>>): Participant {
  const { consumer, pool, schema = consumer, onAnswer, wrap = unwrapped } = options;
  const { windowMs } = checkWindow(consumer, options.inbox);
  const inbox = wrap('inbox', createInbox({ consumer, schema, windowMs }));
  const deliver = async (message: Message): Promise<InboxAnswer> => {
    const { contract, handler } = handlers.find(message);
    const answer = await retryContention(() =>
      withTransaction(pool, (tx) =>
        inbox.apply(tx, message, () => runHandler(message, contract, (payload) => handler(tx, payload, message))),
      ),
    );
    onAnswer?.(message, answer);
    return answer;
  };
  return wrap('participant', { consumer, types: handlers.types, deliver });
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
