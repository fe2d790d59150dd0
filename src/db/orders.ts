import { RejectedError } from '../saga/errors.js';
import type { PlaceOrder } from '../messages/orders.js';
import type { Transaction } from './pool.js';

/** An order to be placed, and for whom. */
export interface NewOrder extends PlaceOrder {
  readonly sagaId: string;
  readonly tenantId: string;
}

/**
 * Writes the order's row, in the transaction of its step.
 *
 * @throws RejectedError `unknown-customer` or `currency-mismatch`
 */
export async function insertOrder(tx: Transaction, order: NewOrder): Promise<{ orderId: string; total: number }> {
  const total = order.items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
  const { rowCount } = await tx.query({
    name: 'insert-order',
    text: `insert into shop.orders (order_id, saga_id, tenant_id, customer_id, currency, total, items, status)
           select $1, $2, $3, id, currency, $6, $7, 'placed' from shop.customer where id = $4 and currency = $5`,
    values: [
      ...[order.orderId, order.sagaId, order.tenantId, order.customerId, order.currency, total],
      JSON.stringify(order.items),
    ],
  });
  if (rowCount === 0) throw await refusalOf(tx, order);
  return { orderId: order.orderId, total };
}

/** Why an order was not written. */
async function refusalOf(tx: Transaction, { customerId, currency }: NewOrder): Promise<RejectedError> {
  const { rows } = await tx.query<{ currency: string }>('select currency from shop.customer where id = $1', [
    customerId,
  ]);
  if (!rows[0]) return new RejectedError('unknown-customer', `there is no customer '${customerId}'`);
  const pays = rows[0].currency;
  return new RejectedError('currency-mismatch', `customer '${customerId}' pays in ${pays}, not ${currency}`);
}

/** Lets a customer buy; one who may already is left as they are. */
export async function insertCustomer(
  tx: Transaction,
  { id, currency }: { readonly id: string; readonly currency: string },
): Promise<void> {
  await tx.query('insert into shop.customer (id, currency) values ($1, $2) on conflict (id) do nothing', [
    id,
    currency,
  ]);
}

/** Marks an order as cancelled; one that is cancelled stays so. */
export async function markOrderCancelled(tx: Transaction, orderId: string): Promise<void> {
  await tx.query(`update shop.orders set status = 'cancelled' where order_id = $1`, [orderId]);
}

/** Writes the sample's customers; existing rows are left as they are. */
export async function seedCustomers(tx: Transaction): Promise<void> {
  await tx.query(
    `insert into shop.customer (id, currency)
     select 'c-' || n, 'EUR' from generate_series(1, 1000) as n union all select 'c-poor', 'EUR'
     on conflict (id) do nothing`,
  );
}
