import { v7 } from 'uuid';
import { Agent, request } from 'undici';
import { totalOf, type Order } from './orders.js';

/** Answers of participants that are definite refusals. */
export class RefusedError extends Error {}

/** The calls to the participants, over kept connections. */
export interface Calls {
  deduct(order: Order): Promise<void>;
  release(order: Order): Promise<void>;
  debit(order: Order): Promise<void>;
  refund(order: Order): Promise<void>;
  close(): Promise<void>;
}

const TIMEOUT_MS = 5_000;

/**
 * Opens them, as many connections as Settle has.
 *
 * @param routes message type → URL
 */
export function openCalls(routes: Readonly<Record<string, string>>): Calls {
  const dispatcher = new Agent({ connections: 64, pipelining: 1, keepAliveTimeout: 30_000 });
  const call = async (type: string, { key, order, payload }: Call): Promise<void> => {
    const { statusCode, body } = await request(routes[type]!, {
      ...{ method: 'POST', dispatcher, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS },
      headers: headersOf(type, order.sagaId, key),
      body: JSON.stringify(payload),
    });
    const text = await body.text();
    if (statusCode === 409) throw new RefusedError(text);
    if (statusCode !== 200) throw new Error(`${type} was answered with HTTP ${statusCode}`);
    JSON.parse(text);
  };
  const stock = (order: Order, action: string): Call => ({
    ...{ key: `${order.sagaId}/stock/${action}`, order },
    payload: { orderId: order.orderId, items: order.items.map(({ sku, quantity }) => ({ sku, quantity })) },
  });
  const payment = (order: Order, action: string): Call => ({
    ...{ key: `${order.sagaId}/payment/${action}`, order },
    payload: {
      ...{ orderId: order.orderId, account: order.customerId, currency: order.currency },
      amount: totalOf(order),
    },
  });
  return {
    deduct: (order) => call('inventory.deduct', stock(order, 'do')),
    release: (order) => call('inventory.release', stock(order, 'undo')),
    debit: (order) => call('accounts.debit', payment(order, 'do')),
    refund: (order) => call('accounts.refund', payment(order, 'undo')),
    close: () => dispatcher.close(),
  };
}

interface Call {
  readonly key: string;
  readonly order: Order;
  readonly payload: unknown;
}

/** The same as Settle sends, so that any participant of Settle's understands them. */
function headersOf(type: string, sagaId: string, key: string): Record<string, string> {
  return {
    'content-type': 'application/json',
    accept: 'application/json, application/problem+json',
    'ce-specversion': '1.0',
    'ce-id': v7(),
    'ce-source': '/yardstick/place-order',
    'ce-type': type,
    'ce-time': new Date().toISOString(),
    'ce-sagaid': sagaId,
    'ce-tenantid': 'default',
    'ce-revision': '0',
    'idempotency-key': key,
  };
}
