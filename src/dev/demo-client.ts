import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import type { HalfMessageView } from '../api/half-message-schemas.js';
import type { ParkedPage } from '../api/operator-schemas.js';
import type { OutboxMessageView } from '../api/outbox-schemas.js';
import type { SagaView } from '../api/schemas.js';

/** An order as the demo places it: one line of one sku. */
export interface DemoOrder {
  readonly customerId: string;
  readonly sku: string;
  readonly quantity: number;
}

/** In minor units. */
export const UNIT_PRICE = 1_999;

/** A client of the API, as a user would write it: it sends again what was answered 503. */
export interface DemoClient {
  /** Places an order and returns its saga's id; the same key brings the same saga. */
  place(order: DemoOrder, key?: string): Promise<string>;
  /** Starts a saga of another kind, at the address that its scenario has, and returns its id. */
  start(path: string, body: object): Promise<string>;
  cancel(sagaId: string): Promise<void>;
  /** What waits for a person of one saga. */
  parked(sagaId: string): Promise<ParkedPage>;
  /** Does what an operator decides. */
  act(sagaId: string, action: object): Promise<void>;
  /** Waits until a message that was sent from SQL is delivered, or dead. */
  delivered(messageId: string): Promise<OutboxMessageView>;
  /** Whether the API knows of no such message. */
  isUnknown(messageId: string): Promise<boolean>;
  /** Gives a saga an event that it waits for. */
  send(sagaId: string, event: string, body: object): Promise<void>;
  /** Waits until a saga has settled or is parked. */
  settled(sagaId: string): Promise<SagaView>;
  /** Waits until a half message is delivered or rolled back, or is parked. */
  messageSettled(messageId: string): Promise<HalfMessageView>;
  /** Waits until a saga is as `isSo` says. */
  waitFor(sagaId: string, isSo: (saga: SagaView) => boolean): Promise<SagaView>;
}

const POLL_MS = 25;
const SETTLE_MS = 120_000;
const RETRY_MS = 250;
const PATIENCE_MS = 20_000;

/**
 * Makes a client.
 *
 * @param api its address
 * @param apiKey unset: the API asks for none
 */
export function createDemoClient(api: string, apiKey: string | undefined, signal: AbortSignal): DemoClient {
  const call = async (method: string, path: string, request: DemoRequest = {}): Promise<unknown> => {
    const headers = headersOf(apiKey, request);
    const body = request.body && JSON.stringify(request.body);
    for (const end = Date.now() + PATIENCE_MS; ;) {
      const response = await fetch(`${api}${path}`, { method, headers, body, signal });
      const text = await response.text();
      if (response.ok) return JSON.parse(text) as unknown;
      if (response.status !== 503 || Date.now() > end) {
        throw new Error(`${method} ${path} was answered ${response.status}: ${text}`);
      }
      // a busy machine: under the same key it is the same request, however often it is sent
      await delay(RETRY_MS, undefined, { signal });
    }
  };
  const poll = async <View extends { readonly state: string }>(
    path: string,
    isSo: (view: View) => boolean,
  ): Promise<View> => {
    for (const end = Date.now() + SETTLE_MS; ;) {
      const view = (await call('GET', path)) as View;
      if (isSo(view)) return view;
      if (Date.now() > end) throw new Error(`${path} is still ${view.state} after ${SETTLE_MS / 1_000} s`);
      await delay(POLL_MS, undefined, { signal });
    }
  };
  const waitFor: DemoClient['waitFor'] = (sagaId, isSo) => poll(`/v1/sagas/${sagaId}`, isSo);
  return {
    waitFor,
    settled: (sagaId) => waitFor(sagaId, ({ state }) => ['completed', 'compensated', 'parked'].includes(state)),
    messageSettled: (messageId) =>
      poll(`/v1/messages/${messageId}`, ({ state }) => ['delivered', 'rolled-back', 'parked'].includes(state)),
    place: async ({ customerId, sku, quantity }, key = randomUUID()) => {
      const body = { customerId, currency: 'EUR', items: [{ sku, quantity, unitPrice: UNIT_PRICE }] };
      return ((await call('POST', '/v1/orders', { body, key })) as { sagaId: string }).sagaId;
    },
    delivered: (messageId) => poll(`/v1/messages/${messageId}`, ({ state }) => state !== 'pending'),
    isUnknown: async (messageId) => {
      const { status } = await fetch(`${api}/v1/messages/${messageId}`, { headers: headersOf(apiKey, {}), signal });
      return status === 404;
    },
    start: async (path, body) => ((await call('POST', path, { body, key: randomUUID() })) as { sagaId: string }).sagaId,
    send: async (sagaId, event, body) => {
      await call('POST', `/v1/sagas/${sagaId}/events/${event}`, { body });
    },
    parked: async (sagaId) => (await call('GET', `/v1/parked?id=${sagaId}`)) as ParkedPage,
    act: async (sagaId, action) => {
      await call('POST', `/v1/sagas/${sagaId}/actions`, { body: { actionId: randomUUID(), ...action } });
    },
    cancel: async (sagaId) => {
      await call('POST', `/v1/sagas/${sagaId}/cancel`, { body: { reason: 'the demo changed its mind' } });
    },
  };
}

interface DemoRequest {
  readonly body?: object;
  readonly key?: string;
}

function headersOf(apiKey: string | undefined, { body, key }: DemoRequest): Record<string, string> {
  return {
    ...(apiKey !== undefined && { authorization: `Bearer ${apiKey}` }),
    ...(body && { 'content-type': 'application/json' }),
    ...(key !== undefined && { 'idempotency-key': key }),
  };
}
