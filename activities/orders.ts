import { insertCustomer, insertOrder, markOrderCancelled } from '../src/db/orders.js';
import type { Transaction } from '../src/db/pool.js';
import type { LocalContext } from '../src/saga/local-work.js';
import type { PlaceFirstOrder, PlaceOrder } from '../src/messages/orders.js';

/** What placing an order tells the steps after it. */
export interface OrderPlaced {
  readonly orderId: string;
  /** In minor units of the order's currency. */
  readonly total: number;
}

/**
 * Places the order in the producer's own database.
 *
 * @throws RejectedError `unknown-customer`, `currency-mismatch`
 */
export async function place(
  tx: Transaction,
  { sagaId, tenantId, input }: LocalContext<PlaceOrder>,
): Promise<OrderPlaced> {
  return insertOrder(tx, { ...input, sagaId, tenantId });
}

/** The same for the first order of a customer who has been registered just now: the shop learns of both at once. */
export async function placeFirst(tx: Transaction, context: LocalContext<PlaceFirstOrder>): Promise<OrderPlaced> {
  const { customerId, currency } = context.input;
  await insertCustomer(tx, { id: customerId, currency });
  return place(tx, context);
}

/** Cancels the order: the row stays, so that a person can see what became of it. */
export async function cancel(tx: Transaction, { input }: LocalContext<PlaceOrder>): Promise<void> {
  await markOrderCancelled(tx, input.orderId);
}
