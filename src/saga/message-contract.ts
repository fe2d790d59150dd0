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
}

/**
 * Declares a message contract.
 *
 * @throws TypeError when the type is not `<participant>.<verb>` in lower case
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
  return Object.freeze({ type, ...contract });
}
