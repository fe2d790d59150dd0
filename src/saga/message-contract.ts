import type { ZodType } from 'zod';
import type { RetryOptions } from './retry.js';
import type { StepKind } from './plan.js';

/** What producer and participant agree on: the type name, both schemas, and how it is taken back. */
export interface MessageContract<Payload = unknown, Result = unknown> {
  /** The message type, `<participant>.<verb>`, e.g. `inventory.deduct`; it is data and never renamed. */
  readonly type: string;
  readonly payload: ZodType<Payload>;
  readonly result: ZodType<Result>;
  /** What takes it back; it is sent the same payload under the effect key's `undo`. Absent: it cannot be undone. */
  readonly undo?: MessageContract<Payload>;
  /** @default 'compensatable' when it has an undo, else 'retriable' */
  readonly kind?: StepKind;
  readonly retry?: RetryOptions;
  /**
   * Whether the step is done once a broker has the message durably: its participant does not answer, so that it cannot refuse it
   * either, and the result is null. Over HTTP, which answers at once, the participant's refusal still counts. @default false
   */
  readonly fireAndForget?: boolean;
}

/**
 * Declares a message contract.
 *
 * @throws TypeError when the type is not `<participant>.<verb>` in lower case, or when nobody is to answer and somebody is relied on
 * @example
 * const release = defineMessage('inventory.release', { payload: Deduct, result: z.object({}) });
 * const deduct = defineMessage('inventory.deduct', { payload: Deduct, result: z.object({}), undo: release });
 */
export function defineMessage<Payload, Result>(
  type: string,
  contract: Omit<MessageContract<Payload, Result>, 'type'>,
): MessageContract<Payload, Result> {
  if (!/^[a-z][a-z0-9-]*(\.[a-z][a-z0-9-]*)+$/.test(type) || type.length > 100) {
    throw new TypeError(`'${type}' is not a message type; write '<participant>.<verb>' in lower case`);
  }
  if (contract.fireAndForget) checkUnanswered(type, contract);
  return Object.freeze({ type, ...contract });
}

function checkUnanswered(type: string, { result, undo, kind }: Omit<MessageContract, 'type' | 'payload'>): void {
  if (!result.safeParse(null).success)
    throw new TypeError(`'${type}' is fire-and-forget, so its result is null; let its result schema take that`);
  if (undo && !undo.fireAndForget)
    throw new TypeError(`'${type}' is fire-and-forget, but its undo '${undo.type}' is not; make it so, or neither`);
  if (kind === 'pivot')
    throw new TypeError(`'${type}' is fire-and-forget, so nothing can refuse it; it is no pivot, leave its kind out`);
}
