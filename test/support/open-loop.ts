import { randomUUID } from 'node:crypto';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';

/**
 * Offers orders to an API at a fixed rate, whatever becomes of them, as a process of its own: a client that shares the test's would
 * measure the test. Prints one {@link OfferedLoad} as JSON and ends.
 */

/** What became of the orders of one run. */
export interface OfferedLoad {
  readonly offered: number;
  readonly accepted: number;
  /** By status, or by the error's code; 503 and 429 that say when to come again are among `refused`. */
  readonly answers: Readonly<Record<string, number>>;
  readonly refused: number;
  /** From the moment at which a request was due, in ms. */
  readonly refusalMs: Percentiles;
  readonly acceptMs: Percentiles;
  /** By how much the generator itself was late, in ms: when it is much, it measures itself. */
  readonly lateMs: Percentiles;
  /** From the first request to the last answer, in ms. */
  readonly tookMs: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p99: number;
}

const { values } = parseArgs({
  options: {
    url: { type: 'string' },
    rate: { type: 'string' },
    seconds: { type: 'string' },
    // instead of a rate: so many orders are accepted, for 64 clients that each wait for their answers
    count: { type: 'string' },
  },
});
const { url = '', rate = '0', seconds = '10', count = '0' } = values;
const TICK_MS = 5;
const CLIENTS = 64;
const CUSTOMERS = 1_000;
/** As {@link import('./overload-stand.js') the stand} has in stock. */
const BOOKS = 100;
/** What clients of the closed loop wait before they ask again. */
const REFUSED_MS = 50;
const CONNECTIONS = 256;
const pool = new Pool(url, { connections: CONNECTIONS, pipelining: 1, headersTimeout: 30_000 });
const answers: Record<string, number> = {};
const [refusals, accepts, lates]: [number[], number[], number[]] = [[], [], []];
let offered = 0;

/** Of as many customers and books as there are: a row that all of them write would be the limit of the participants alone. */
function order(): string {
  const items = [{ sku: `book-${1 + (offered % BOOKS)}`, quantity: 1, unitPrice: 1 }];
  return JSON.stringify({ customerId: `c-${1 + (offered % CUSTOMERS)}`, currency: 'EUR', items });
}

/** Returns whether it was refused. */
async function offer(dueAt: number): Promise<boolean> {
  offered += 1;
  let answer: string;
  let isRefusal = false;
  try {
    const { statusCode, headers, body } = await pool.request({
      ...{ method: 'POST', path: '/v1/orders', body: order() },
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
    });
    const tookMs = performance.now() - dueAt;
    await body.dump();
    answer = String(statusCode);
    isRefusal = [429, 503].includes(statusCode) && headers['retry-after'] !== undefined;
    if (isRefusal) refusals.push(tookMs);
    if (statusCode === 202) accepts.push(tookMs);
  } catch (error) {
    answer = (error as NodeJS.ErrnoException).code ?? (error as Error).message;
  }
  answers[answer] = (answers[answer] ?? 0) + 1;
  return isRefusal;
}

/**
 * The clients are there before their storm, as behind a proxy: Node takes in one new connection a turn of its event loop (libuv's
 * `uv__server_io`), and those that are opened in the storm wait for turns, not for answers.
 */
async function connect(): Promise<void> {
  const look = async (): Promise<void> => (await pool.request({ method: 'GET', path: '/health/live' })).body.dump();
  await Promise.all(Array.from({ length: CONNECTIONS }, look));
}

async function openLoop(perSecond: number, endAt: number): Promise<void> {
  const underWay = new Set<Promise<unknown>>();
  const beginAt = performance.now();
  let due = 0;
  while (performance.now() < endAt) {
    await new Promise((resolve) => setTimeout(resolve, TICK_MS));
    const now = performance.now();
    for (; due < ((now - beginAt) / 1_000) * perSecond; due += 1) {
      const dueAt = beginAt + (due / perSecond) * 1_000;
      lates.push(now - dueAt);
      const sent = offer(dueAt).finally(() => underWay.delete(sent));
      underWay.add(sent);
    }
  }
  await Promise.all(underWay);
}

async function closedLoop(most: number): Promise<void> {
  let begun = 0;
  const client = async (): Promise<void> => {
    while (begun < most) {
      begun += 1;
      while (await offer(performance.now())) await new Promise((resolve) => setTimeout(resolve, REFUSED_MS));
    }
  };
  await Promise.all(Array.from({ length: CLIENTS }, client));
}

function percentiles(values: number[]): Percentiles {
  const sorted = values.toSorted((a, b) => a - b);
  const at = (share: number): number => Math.round((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) * 10) / 10;
  return { p50: at(0.5), p99: at(0.99) };
}

await connect();
const begunAt = performance.now();
if (Number(count) > 0) await closedLoop(Number(count));
else await openLoop(Number(rate), performance.now() + Number(seconds) * 1_000);
const tookMs = performance.now() - begunAt;
await pool.close();
const load: OfferedLoad = {
  ...{ offered, accepted: answers['202'] ?? 0, answers, refused: refusals.length },
  ...{ refusalMs: percentiles(refusals), acceptMs: percentiles(accepts), lateMs: percentiles(lates) },
  tookMs: Math.round(tookMs),
};
process.stdout.write(`${JSON.stringify(load)}\n`);
