import { v7 as uuidv7 } from 'uuid';
import type { SagaView } from '../../src/api/schemas.js';
import { openShop, type Shop } from './shop.js';

/** How a request is sent. */
export interface Sending {
  readonly key?: string;
  /** Seconds of `Prefer: wait`. */
  readonly wait?: number;
}

/** An answer of the API to a request for a payment or a registration. */
export interface OfficeAnswer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown> & {
    readonly sagaId: string;
    readonly paymentId: string;
    readonly userId: string;
  };
}

/** A client of the API that pays and registers, and looks at sagas as a shop does. */
export interface Office extends Pick<Shop, 'saga' | 'settled' | 'cancel' | 'get'> {
  pay(change?: Readonly<Record<string, unknown>>, sending?: Sending): Promise<OfficeAnswer>;
  order(order: object, sending?: Sending): Promise<OfficeAnswer>;
  /** Gives a saga an event. */
  send(sagaId: string, event: string, body: object): Promise<OfficeAnswer>;
  register(user: Readonly<Record<string, unknown>>, sending?: Sending): Promise<OfficeAnswer>;
  /** Pays, and waits until the saga has settled. */
  paid(change?: Readonly<Record<string, unknown>>): Promise<SagaView>;
  /** Registers, and waits until the saga has settled. */
  registered(user: Readonly<Record<string, unknown>>): Promise<SagaView>;
}

/** Opens a client on a running API. */
export function openOffice(url: string): Office {
  const { saga, settled, cancel, get } = openShop(url);
  const post = async (path: string, body: object, { key = uuidv7(), wait }: Sending = {}): Promise<OfficeAnswer> => {
    const headers = {
      'content-type': 'application/json',
      'idempotency-key': key,
      ...(wait === undefined ? {} : { prefer: `wait=${wait}` }),
    };
    const response = await fetch(url + path, { method: 'POST', headers, body: JSON.stringify(body) });
    const answer = (await response.json()) as OfficeAnswer['body'];
    return { status: response.status, headers: response.headers, body: answer };
  };
  const pay: Office['pay'] = (change, sending) =>
    post('/v1/payments', { accountId: 'c-1', currency: 'EUR', amount: 5_000, ...change }, sending);
  const register: Office['register'] = (user, sending) => post('/v1/registrations', user, sending);
  return {
    ...{ saga, settled, cancel, get, pay, register },
    send: (sagaId, event, body) => post(`/v1/sagas/${sagaId}/events/${event}`, body),
    order: (order, sending) => post('/v1/orders', order, sending),
    paid: async (change) => settled((await pay(change)).body.sagaId),
    registered: async (user) => settled((await register(user)).body.sagaId),
  };
}
