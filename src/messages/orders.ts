import { z } from 'zod';
import { defineEvent } from '../saga/event-contract.js';
import { Amount, Currency, text } from './fields.js';
import { RegistrationRequest } from './registrations.js';

/** One line of an order. */
export const OrderItem = z.strictObject({ sku: text(64), quantity: z.int().min(1).max(1_000_000), unitPrice: Amount });

const distinctSkus = (items: readonly { sku: string }[]): boolean =>
  new Set(items.map(({ sku }) => sku)).size === items.length;
const payable = ({ items }: { items: readonly { quantity: number; unitPrice: number }[] }): boolean =>
  Number.isSafeInteger(totalOf(items));

const OrderLines = {
  currency: Currency,
  items: z.array(OrderItem).min(1).max(100).refine(distinctSkus, 'must name each sku once'),
};

/** The body of `POST /v1/orders`; amounts in minor units. */
export const OrderRequest = z
  .strictObject({
    customerId: text(64).optional().describe('Absent with a `registration`.'),
    ...OrderLines,
    registration: RegistrationRequest.optional().describe('A new customer, who is registered first.'),
    needsApproval: z.boolean().optional().describe('Whether the order waits for the event `order-approved`.'),
  })
  .refine(({ customerId, registration }) => (customerId === undefined) !== (registration === undefined), {
    path: ['customerId'],
    message: 'must be given, or `registration` instead',
  })
  .refine(({ registration, needsApproval }) => !(registration && needsApproval), {
    path: ['needsApproval'],
    message: 'must be absent with a `registration`',
  })
  .refine(payable, { path: ['items'], message: 'must total less than 2^53 minor units' });
export type OrderRequest = z.infer<typeof OrderRequest>;

/** The input of the sagas `place-order` and `place-approved-order`. */
export const PlaceOrder = z.strictObject({ orderId: text(64), customerId: text(64), ...OrderLines });
export type PlaceOrder = z.infer<typeof PlaceOrder>;

/** The input of the saga `place-first-order`: the customer is still to be registered, under this id. */
export const PlaceFirstOrder = z.strictObject({ ...PlaceOrder.shape, registration: RegistrationRequest });
export type PlaceFirstOrder = z.infer<typeof PlaceFirstOrder>;

/** What the saga `place-approved-order` waits for: who has approved the order, and which account pays. */
export const OrderApproved = defineEvent(
  'order-approved',
  z.strictObject({ approvedBy: text(200), account: text(64) }),
);

/** The sum of an order in minor units. */
export function totalOf(items: readonly { quantity: number; unitPrice: number }[]): number {
  return items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
}
