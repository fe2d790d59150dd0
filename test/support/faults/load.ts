import { randomUUID } from 'node:crypto';
import type { JournalFile } from './client-journal.js';
import { createRandom, type Random } from './random.js';

/** What an order is meant to show. */
export type Scenario =
  'completes' | 'out-of-stock' | 'no-money' | 'unknown-customer' | 'cancelled' | 'duplicate' | 'other-body';

/** A load: bounded, and the same for the same seed. */
export interface Load {
  readonly journal: JournalFile;
  /** Base addresses of the API; each request goes to one of them. */
  readonly apis: readonly string[];
  readonly seed: number;
  readonly orders: number;
  /** Orders under way at the same time. @default 4 */
  readonly lanes?: number;
  /** @default all, most of them completing */
  readonly scenarios?: readonly Scenario[];
  /** How long a request is retried without a 2xx. @default 240000 */
  readonly giveUpMs?: number;
  /** Whether every saga's state is polled until it has settled. @default true */
  readonly polls?: boolean;
  /** Told of each accepted saga. */
  readonly onAccepted?: (sagaId: string, scenario: Scenario) => void;
}

/** All of them, weighted as in a fair week. */
const MIX: readonly Scenario[] = [
  'completes',
  'completes',
  'completes',
  'out-of-stock',
  'no-money',
  'unknown-customer',
  'cancelled',
  'duplicate',
  'other-body',
];

const PAUSE_MS = 100;
const REQUEST_MS = 15_000;
const SETTLED: ReadonlySet<string> = new Set(['completed', 'compensated', 'parked']);

interface Order {
  readonly key: string;
  readonly scenario: Scenario;
  readonly body: Record<string, unknown>;
}

/** Where a request goes, and where it is noted. */
export type Client = Pick<Load, 'journal' | 'apis'>;

/** A load under way. */
export interface RunningLoad {
  /** Resolves when every order has had its 2xx or was given up. */
  readonly accepted: Promise<void>;
  /** Ends the polling, once every saga is known to have settled. */
  stop(): Promise<void>;
  /** Ends it with whatever is open; nobody asks for the outcome any more. */
  abandon(): Promise<void>;
}

/** What each part of a load knows. */
interface Going extends Load {
  readonly isAbandoned: () => boolean;
}

/** Starts offering orders; each is retried under the same key until it has a 2xx. */
export function startLoad(load: Load): RunningLoad {
  const { orders, lanes = 4, polls = true } = load;
  let isAbandoned = false;
  const going: Going = { ...load, isAbandoned: () => isAbandoned };
  const random = createRandom(load.seed);
  const waiting = Array.from({ length: orders }, (_, index) => makeOrder(random, load, index));
  const pollers: Promise<void>[] = [];
  const stopped = new AbortController();
  const lane = async (): Promise<void> => {
    for (let order = waiting.shift(); order; order = waiting.shift()) {
      const sagaId = await place(going, order, random);
      if (sagaId === undefined) continue;
      load.onAccepted?.(sagaId, order.scenario);
      if (polls) pollers.push(poll(going, sagaId, stopped.signal));
    }
  };
  const accepted = Promise.all(Array.from({ length: lanes }, lane)).then(() => undefined);
  const stop = async (): Promise<void> => {
    await accepted;
    stopped.abort();
    await Promise.all(pollers);
  };
  return {
    accepted,
    stop,
    abandon: () => {
      isAbandoned = true;
      return stop();
    },
  };
}

function makeOrder(random: Random, { scenarios = MIX, seed }: Load, index: number): Order {
  const scenario = scenarios[index % scenarios.length]!;
  const sku = scenario === 'out-of-stock' ? 'sold-out' : 'book';
  const customers: Partial<Record<Scenario, string>> = { 'no-money': 'c-poor', 'unknown-customer': 'c-nobody' };
  const customerId = customers[scenario] ?? `c-${random.between(1, 200)}`;
  const items = [{ sku, quantity: random.between(1, 4), unitPrice: random.between(100, 2_000) }];
  return { key: `${seed}-${index}-${randomUUID()}`, scenario, body: { customerId, currency: 'EUR', items } };
}

/** @returns the saga's id, or undefined when the order was given up */
async function place(load: Going, order: Order, random: Random): Promise<string | undefined> {
  // it becomes the other body only once the first has been accepted
  const first = send(load, random, order.scenario === 'other-body' ? { ...order, scenario: 'completes' } : order);
  // the same order twice at once: one saga, one answer
  const [sagaId] = await Promise.all(order.scenario === 'duplicate' ? [first, send(load, random, order)] : [first]);
  if (sagaId === undefined) return undefined;
  if (order.scenario === 'duplicate') await send(load, random, order);
  if (order.scenario === 'other-body') {
    await attempt(load, random, { ...order, body: { ...order.body, customerId: 'c-500' } });
  }
  if (order.scenario === 'cancelled') await cancel(load, sagaId);
  return sagaId;
}

async function send(load: Going, random: Random, order: Order): Promise<string | undefined> {
  const until = Date.now() + (load.giveUpMs ?? 240_000);
  while (Date.now() < until && !load.isAbandoned()) {
    const answer = await attempt(load, random, order);
    if (answer.status >= 200 && answer.status < 300) return answer.sagaId;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
  return undefined;
}

interface Answer {
  readonly status: number;
  readonly sagaId?: string;
  readonly orderId?: string;
  readonly state?: string;
}

async function attempt({ journal, apis }: Load, random: Random, { key, scenario, body }: Order): Promise<Answer> {
  const tenant = 'default';
  journal.write({ kind: 'request', at: Date.now(), key, tenant, scenario, body });
  const answer = await exchange(`${random.pick(apis)}/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
  journal.write({ kind: 'response', at: Date.now(), key, tenant, scenario, ...answer });
  return answer;
}

/** Asks for a saga to be cancelled until it is told that the request is kept, or comes too late. */
export async function cancel({ journal, apis }: Client, sagaId: string): Promise<void> {
  for (let tries = 0; tries < 50; tries += 1) {
    const { status } = await exchange(`${apis[0]!}/v1/sagas/${sagaId}/cancel`, { method: 'POST' });
    journal.write({ kind: 'cancel', at: Date.now(), sagaId, status });
    if (status > 0 && status < 500) return;
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/** Asks again and again until the saga has settled; each answer is compared with those before it. */
async function poll({ journal, apis }: Load, sagaId: string, signal: AbortSignal): Promise<void> {
  for (let state = ''; ;) {
    const wasStopped = signal.aborted;
    const answer = await exchange(`${apis[0]!}/v1/sagas/${sagaId}`, {});
    if (answer.status === 200 && answer.state !== undefined) {
      if (answer.state !== state) journal.write({ kind: 'poll', at: Date.now(), sagaId, state: answer.state });
      state = answer.state;
    }
    if (wasStopped || (SETTLED.has(state) && state !== 'parked')) return;
    await new Promise((resolve) => setTimeout(resolve, 2 * PAUSE_MS));
  }
}

/** Status 0 stands for no answer, whatever kept it away. */
async function exchange(url: string, init: RequestInit): Promise<Answer> {
  try {
    const response = await fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_MS) });
    const text = await response.text();
    const body = (text.startsWith('{') ? JSON.parse(text) : {}) as Omit<Answer, 'status'>;
    const { sagaId, orderId, state } = body;
    return { status: response.status, sagaId, orderId, state };
  } catch {
    // refused, reset or too late: the request may or may not have been accepted, which is the point
    return { status: 0 };
  }
}
