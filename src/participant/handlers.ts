import { RejectedError } from '../saga/errors.js';
import type { StepAction } from '../saga/ids.js';
import type { MessageContract } from '../saga/message-contract.js';
import { days, DEFAULT_WINDOWS, WindowError, type InboxWindow } from '../saga/windows.js';
import type { Message } from './message.js';

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

/** What an inbox remembers unless it is told otherwise: 30 days, for senders that need no more. */
export const DEFAULT_INBOX: InboxWindow = { windowMs: DEFAULT_WINDOWS.inboxMs, resendMs: DEFAULT_WINDOWS.inboxMs };

/** What senders read of an answer at the most. */
const MAX_RESULT_BYTES = 64 * 1024;

/** A message type with who handles it. */
export interface Handled<Handler> {
  readonly contract: MessageContract<unknown>;
  readonly handler: Handler;
}

/** What one participant handles, by message type. */
export interface Handlers<Handler> {
  readonly types: readonly string[];
  /**
   * Who handles a message.
   *
   * @throws UnknownTypeError when nobody does
   * @throws WrongActionError when a `do` comes under the key of an `undo`, or the reverse
   */
  find(message: Message): Handled<Handler>;
}

/** Handlers that are still being added. */
export interface HandlerRegistry<Handler> {
  /** @throws TypeError when the type is handled already */
  add(contract: MessageContract<unknown>, handler: Handler): void;
  /** @throws TypeError that names the message whose undo nobody handles */
  build(): Handlers<Handler>;
}

/** The handlers of one participant, wherever it keeps its inbox. */
export function createHandlerRegistry<Handler>(consumer: string): HandlerRegistry<Handler> {
  const handled = new Map<string, Handled<Handler>>();
  return {
    add: (contract, handler) => {
      if (handled.has(contract.type)) throw new TypeError(`'${contract.type}' is handled twice; keep one handler`);
      handled.set(contract.type, { contract, handler });
    },
    build: () => {
      const undone = undoTypes(consumer, handled);
      return {
        types: [...handled.keys()],
        find: (message) => {
          const found = handled.get(message.type);
          if (!found) throw new UnknownTypeError(`'${consumer}' does not handle '${message.type}'`);
          checkAction(message, undone.has(message.type) ? 'undo' : 'do');
          return found;
        },
      };
    },
  };
}

function undoTypes(consumer: string, handled: ReadonlyMap<string, Handled<unknown>>): ReadonlySet<string> {
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
  return undone;
}

/** @throws WindowError when the inbox forgets what its senders may send again */
export function checkWindow(consumer: string, window = DEFAULT_INBOX): InboxWindow {
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

/**
 * Runs a handler between its contract's checks: inside the inbox, so that a payload which today's schema refuses stays refused after
 * tomorrow's deployment.
 *
 * @throws RejectedError when the payload is not the contract's
 * @throws TypeError when the result is not
 */
export async function runHandler(
  message: Message,
  contract: MessageContract<unknown>,
  handle: (payload: unknown) => Promise<unknown>,
): Promise<unknown> {
  const payload = contract.payload.safeParse(message.payload);
  if (!payload.success) {
    const [issue] = payload.error.issues;
    const path = issue?.path.join('.');
    throw new RejectedError(
      INVALID_PAYLOAD,
      `${path ? `payload.${path}` : 'payload'}: ${issue?.message ?? 'is invalid'}`,
    );
  }
  const result = contract.result.safeParse(await handle(payload.data));
  const fault = result.success ? findOversize(result.data) : result.error.message;
  if (fault === undefined) return result.data;
  throw new TypeError(`the handler of '${message.type}' returned what its contract forbids: ${fault}`);
}

/** A result that its sender would refuse to read must not be applied: every repetition would get the same. */
function findOversize(result: unknown): string | undefined {
  const bytes = Buffer.byteLength(JSON.stringify(result) ?? '');
  return bytes > MAX_RESULT_BYTES ? `a result of ${bytes} bytes; ${MAX_RESULT_BYTES} is the most` : undefined;
}
