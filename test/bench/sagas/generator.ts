import type { EventEmitter } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';
import { Pool } from 'undici';
import { v7 } from 'uuid';
import { nowMs } from './clock.js';

/** How orders are sent. */
export type Shape =
  /** So many sagas in flight, for so long or until so many have been sent. */
  | { readonly kind: 'in-flight'; readonly inFlight: number; readonly seconds?: number; readonly orders?: number }
  /** All at once. */
  | { readonly kind: 'burst'; readonly orders: number }
  /** At a steady rate, whatever becomes of them. */
  | { readonly kind: 'rate'; readonly perSecond: number; readonly seconds: number };

/** One order that was accepted, in ms since the epoch. */
export interface Sent {
  readonly orderId: string;
  readonly sagaId: string;
  /** When it was to be sent. */
  readonly sentAtMs: number;
  readonly acceptedAtMs: number;
}

/** What became of a run. */
export interface Run {
  readonly sent: readonly Sent[];
  readonly begunAtMs: number;
  /** When the last order was sent. */
  readonly endedAtMs: number;
  /** Answers of 429 and 503, and connections that broke: each was tried again under the same key. */
  readonly refusals: number;
}

/** A client of one API. */
export interface Generator {
  run(shape: Shape): Promise<Run>;
  /** Sends nothing new; what has no answer yet is tried until it has. */
  halt(): void;
  close(): Promise<void>;
}

const CUSTOMERS = 1_000;
/** A saga that takes longer no longer keeps another from being sent. */
const SLOT_MS = 20_000;
/** An order that nobody accepts for so long is a fault of the run. */
const GIVE_UP_MS = 60_000;

/**
 * Opens it, with connections that are kept.
 *
 * @param events emits `settled` with the ids of orders, so that a place is free again
 */
export function openGenerator(url: string, events: EventEmitter): Generator {
  const client: Client = {
    pool: new Pool(url, { connections: 256, pipelining: 1, keepAliveTimeout: 60_000 }),
    places: watch(events),
    halted: false,
    refusals: 0,
  };
  return {
    run: async (shape) => {
      Object.assign(client, { halted: false, refusals: 0 });
      const sent: Sent[] = [];
      const begunAtMs = nowMs();
      const endedAtMs = await send(client, shape, sent);
      return { sent, begunAtMs, endedAtMs, refusals: client.refusals };
    },
    halt: () => void (client.halted = true),
    close: () => client.pool.close(),
  };
}

interface Client {
  readonly pool: Pool;
  readonly places: Places;
  halted: boolean;
  refusals: number;
}

async function send(client: Client, shape: Shape, sent: Sent[]): Promise<number> {
  if (shape.kind === 'burst') {
    await Promise.all(Array.from({ length: shape.orders }, async () => sent.push(await place(client, nowMs()))));
    return nowMs();
  }
  return shape.kind === 'rate' ? sendAtRate(client, shape, sent) : keepInFlight(client, shape, sent);
}

async function keepInFlight(
  client: Client,
  { inFlight, seconds = Infinity, orders = Infinity }: Extract<Shape, { kind: 'in-flight' }>,
  sent: Sent[],
): Promise<number> {
  const endAtMs = nowMs() + seconds * 1_000;
  let left = orders;
  const lane = async (): Promise<void> => {
    while (!client.halted && nowMs() < endAtMs && left-- > 0) {
      const order = await place(client, nowMs());
      sent.push(order);
      await client.places.untilSettled(order.orderId);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, lane));
  return Math.min(nowMs(), endAtMs);
}

async function sendAtRate(
  client: Client,
  { perSecond, seconds }: Extract<Shape, { kind: 'rate' }>,
  sent: Sent[],
): Promise<number> {
  const begunAtMs = nowMs();
  const total = Math.floor(perSecond * seconds);
  const underWay: Promise<unknown>[] = [];
  for (let number = 0; number < total && !client.halted;) {
    const dueAtMs = begunAtMs + (number / perSecond) * 1_000;
    if (dueAtMs > nowMs()) {
      await pause(Math.max(1, dueAtMs - nowMs()));
      continue;
    }
    number++;
    underWay.push(place(client, dueAtMs).then((order) => sent.push(order)));
  }
  await Promise.all(underWay);
  return nowMs();
}

/** Sends one order until it is accepted. */
async function place(client: Client, sentAtMs: number): Promise<Sent> {
  const key = v7();
  const customer = 1 + Math.floor(Math.random() * CUSTOMERS);
  const items = [{ sku: 'book', quantity: 1, unitPrice: 1_250 }];
  const body = JSON.stringify({ customerId: `c-${customer}`, currency: 'EUR', items });
  for (;;) {
    const { status, text } = await post(client.pool, key, body);
    if (status === 202) return { ...(JSON.parse(text) as Sent), sentAtMs, acceptedAtMs: nowMs() };
    if (![0, 429, 503].includes(status)) throw new Error(`an order was answered with HTTP ${status}: ${text}`);
    if (nowMs() - sentAtMs > GIVE_UP_MS) throw new Error(`an order was not accepted within ${GIVE_UP_MS} ms: ${text}`);
    client.refusals++;
    await pause(50);
  }
}

async function post(pool: Pool, key: string, body: string): Promise<{ status: number; text: string }> {
  try {
    const answer = await pool.request({
      ...{ path: '/v1/orders', method: 'POST', body },
      headers: { 'content-type': 'application/json', 'idempotency-key': key },
    });
    return { status: answer.statusCode, text: await answer.body.text() };
  } catch (error) {
    // it broke: nobody knows whether the order was accepted
    return { status: 0, text: (error as Error).message };
  }
}

interface Places {
  untilSettled(orderId: string): Promise<void>;
}

/** The participants may be done with an order before its client has read that it was accepted. */
function watch(events: EventEmitter): Places {
  const early = new Set<string>();
  const waiting = new Map<string, () => void>();
  events.on('settled', (orderId: string) => {
    const free = waiting.get(orderId);
    if (free) free();
    else early.add(orderId);
  });
  return {
    untilSettled: async (orderId) => {
      if (early.delete(orderId)) return;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, SLOT_MS);
        waiting.set(orderId, () => {
          clearTimeout(timer);
          resolve();
        });
      });
      waiting.delete(orderId);
    },
  };
}
