import type pg from 'pg';

/** An order as the programs of this folder hand it on. */
export interface Order {
  readonly sagaId: string;
  readonly orderId: string;
  readonly customerId: string;
  readonly currency: string;
  readonly items: readonly { readonly sku: string; readonly quantity: number; readonly unitPrice: number }[];
}

/** Reads the body of `POST /v1/orders`; the request's key makes the order's ids, so that the same request is the same order. */
export function readOrder({ key, body }: { readonly key: string; readonly body: string }): Order {
  const { customerId, currency, items } = JSON.parse(body) as Order;
  if (typeof customerId !== 'string' || typeof currency !== 'string' || !Array.isArray(items) || items.length === 0)
    throw new TypeError('this is no order');
  return { sagaId: `sg_${key}`, orderId: `ord_${key}`, customerId, currency, items };
}

/** What an order costs, in minor units. */
export function totalOf({ items }: Order): number {
  return items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
}

/** The local transaction: the same business work as the shop's own; an order that is there already is left as it is. */
export async function placeOrder(pool: pg.Pool, order: Order): Promise<void> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const { rowCount } = await client.query({
      name: 'insert-order',
      text: `insert into yardstick.orders (order_id, saga_id, customer_id, currency, total, items, status)
             select $1, $2, id, currency, $5, $6, 'placed' from yardstick.customer where id = $3 and currency = $4
             on conflict (order_id) do nothing`,
      values: [
        ...[order.orderId, order.sagaId, order.customerId, order.currency, totalOf(order)],
        JSON.stringify(order.items),
      ],
    });
    if (rowCount === 0) await checkKnown(client, order);
    await client.query('commit');
  } catch (error) {
    await client.query('rollback');
    throw error;
  } finally {
    client.release();
  }
}

async function checkKnown(client: pg.PoolClient, { orderId, customerId, currency }: Order): Promise<void> {
  const { rowCount } = await client.query('select from yardstick.orders where order_id = $1', [orderId]);
  if (rowCount === 0) throw new Error(`'${customerId}' does not pay in ${currency}`);
}

/** Marks an order as settled. */
export async function finishOrder(pool: pg.Pool, orderId: string, status: 'completed' | 'compensated'): Promise<void> {
  await pool.query({
    name: 'finish-order',
    text: `update yardstick.orders set status = $2, finished_at = clock_timestamp() where order_id = $1 and finished_at is null`,
    values: [orderId, status],
  });
}
