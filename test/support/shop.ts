import { v7 as uuidv7 } from 'uuid';
import type { SagaView } from '../../src/api/schemas.js';
import { eventually } from './eventually.js';

/** What to order; the rest is one book for customer `c-1`. */
export interface OrderChange {
  readonly customerId?: string;
  readonly items?: readonly { readonly sku: string; readonly quantity: number; readonly unitPrice: number }[];
  readonly key?: string;
  /** Seconds of `Prefer: wait`. */
  readonly wait?: number;
}

/** An answer of the API. */
export interface ShopAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & { readonly sagaId: string; readonly orderId: string };
}

/** A client of the API, as a user would write it. */
export interface Shop {
  order(change?: OrderChange): Promise<ShopAnswer>;
  saga(sagaId: string): Promise<SagaView>;
  get(path: string): Promise<ShopAnswer>;
  cancel(sagaId: string): Promise<ShopAnswer>;
  /** Waits until a saga has settled. */
  settled(sagaId: string): Promise<SagaView>;
}

/** Opens a client on a running API. */
export function openShop(url: string): Shop {
  const call = async (path: string, init?: RequestInit): Promise<ShopAnswer> => {
    const response = await fetch(url + path, init);
    return { status: response.status, headers: response.headers, body: (await response.json()) as ShopAnswer['body'] };
  };
  const saga = async (sagaId: string): Promise<SagaView> =>
    (await call(`/v1/sagas/${sagaId}`)).body as unknown as SagaView;
  return {
    saga,
    get: (path) => call(path),
    cancel: (sagaId) => call(`/v1/sagas/${sagaId}/cancel`, { method: 'POST' }),
    order: ({
      key = uuidv7(),
      wait,
      customerId = 'c-1',
      items = [{ sku: 'book', quantity: 1, unitPrice: 1_250 }],
    } = {}) =>
      call('/v1/orders', {
        method: 'POST',
        headers: {
          'idempotency-key': key,
          'content-type': 'application/json',
          ...(wait === undefined ? {} : { prefer: `wait=${wait}` }),
        },
        body: JSON.stringify({ customerId, currency: 'EUR', items }),
      }),
    settled: (sagaId) =>
      eventually(
        async () => {
          const view = await saga(sagaId);
          if (view.finishedAt === null)
            throw new Error(`saga '${sagaId}' is still ${view.state}: ${JSON.stringify(view.steps)}`);
          return view;
        },
        { timeoutMs: 180_000 },
      ),
  };
}
