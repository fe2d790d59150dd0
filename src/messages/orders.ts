import { z } from 'zod';
import { Amount, Currency, text } from './fields.js';

/** One line of an order. */
export const OrderItem = z.strictObject({ sku: text(64), quantity: z.int().min(1).max(1_000_000), unitPrice: Amount });

const distinctSkus = (items: readonly { sku: string }[]): boolean =>
  new Set(items.map(({ sku }) => sku)).size === items.length;
const payable = ({ items }: { items: readonly { quantity: number; unitPrice: number }[] }): boolean =>
  Number.isSafeInteger(totalOf(items));

/** The body of `POST /v1/orders`; amounts in minor units. */
export const OrderRequest = z
  .strictObject({
    customerId: text(64),
    currency: Currency,
    items: z.array(OrderItem).min(1).max(100).refine(distinctSkus, 'must name each sku once'),
  })
  .refine(payable, { path: ['items'], message: 'must total less than 2^53 minor units' });
export type OrderRequest = z.infer<typeof OrderRequest>;

/** The input of the saga `place-order`. */
export const PlaceOrder = z.strictObject({ orderId: text(64), ...OrderRequest.shape });
export type PlaceOrder = z.infer<typeof PlaceOrder>;

/** The sum of an order in minor units. */
export function totalOf(items: readonly { quantity: number; unitPrice: number }[]): number {
  return items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
}
