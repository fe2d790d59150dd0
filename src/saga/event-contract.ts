import type { ZodType } from 'zod';
import { isStepName } from './ids.js';

/** What a saga may wait for: the event's name, and what its body holds. */
export interface EventContract<Body = unknown> {
  /** Lower-case kebab, e.g. `order-approved`; it is data and never renamed. */
  readonly name: string;
  readonly body: ZodType<Body>;
}

/**
 * Declares an event.
 *
 * @throws TypeError when the name is not lower-case kebab
 * @example const OrderApproved = defineEvent('order-approved', z.strictObject({ account: z.string() }));
 */
export function defineEvent<Body>(name: string, body: ZodType<Body>): EventContract<Body> {
  if (!isStepName(name)) throw new TypeError(`'${name}' is not the name of an event; write lower-case kebab`);
  return Object.freeze({ name, body });
}
