import { randomUUID } from 'node:crypto';
import { Writable } from 'node:stream';
import { pino, type Logger } from 'pino';
import type pg from 'pg';
import type { ApiConfig, ApiHalfMessages, ApiStarter } from '../../src/api/parts.js';
import { startApi, type ApiHandle, type ApiOptions } from '../../src/api/server.js';
import { withTransaction } from '../../src/db/pool.js';
import { seedCustomers } from '../../src/db/orders.js';
import { DEFAULT_WINDOWS } from '../../src/saga/windows.js';
import type { HalfMessageStart } from '../../src/saga/half-message.js';
import type { StartableSaga } from '../../src/api/saga-starter.js';
import { contractsOf, eventsOf } from '../../src/saga/contracts.js';
import type { Operation } from '../../src/saga/operator.js';
import { definitions, startable } from '../../workflows/definitions.js';
import { openPool } from './pools.js';

/** A starter that starts nothing and remembers everything. */
export interface RecordingStarter extends ApiStarter {
  readonly started: StartableSaga[];
  readonly cancelled: string[];
  readonly operated: Operation[];
  /** The sagas whose workflows were told to look in the ledger. */
  readonly told: string[];
  isUp: boolean;
}

/** An API over a real database, and what a test may look at. */
export interface TestApi extends ApiHandle {
  readonly pool: pg.Pool;
  readonly starter: RecordingStarter;
  /** What the workflows of half messages were told. */
  readonly told: HalfMessageStart[];
  /** The ids of the repairs that were started. */
  readonly repairs: string[];
  /** Everything it has logged, at every level. */
  readonly log: () => string;
}

/** What is different about an API. */
export interface TestApiOptions extends Partial<Omit<ApiOptions, 'config'>> {
  readonly config?: Partial<ApiConfig>;
  /** How soon it gives a database up. @default {@link openPool}'s, longer than in production */
  readonly patience?: { readonly connectMs: number; readonly queryMs: number };
}

/** Starts the API on a free port. */
export async function startTestApi(
  databaseUrl: string,
  { config, patience, ...options }: TestApiOptions = {},
): Promise<TestApi> {
  const pool = openPool(databaseUrl, { name: 'api-test', ...patience });
  const starter = recordingStarter();
  const told: HalfMessageStart[] = [];
  const halfMessages: ApiHalfMessages = { tellSoon: (message) => void told.push(message) };
  const started: string[] = [];
  const lines: string[] = [];
  const api = await startApi({
    config: { ...CONFIG, ...config },
    pool,
    definitions: startable,
    contracts: contractsOf(definitions),
    events: eventsOf(definitions),
    starter,
    halfMessages,
    repairs: { startSoon: (repair) => void started.push(repair.repairId) },
    logger: loggerTo(lines),
    ...options,
  }).catch(async (error: unknown) => {
    await pool.end();
    throw error;
  });
  let stopped: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopped ??= api.stop().then(() => pool.end()));
  return { ...api, pool, starter, told, repairs: started, log: () => lines.join(''), stop };
}

/** An API over a seeded database for the tests of a file or a block; it is there once their `beforeAll` has run. */
export function useTestApi(database: { readonly url: string }): TestApi {
  let api: TestApi;
  beforeAll(async () => {
    api = await startTestApi(database.url);
    await seed(api.pool);
  });
  afterAll(() => api.stop());
  return new Proxy({} as TestApi, { get: (_, name) => api[name as keyof TestApi] });
}

/** Writes the customers that orders refer to. */
export async function seed(pool: pg.Pool): Promise<void> {
  await withTransaction(pool, seedCustomers);
}

/** The body of a good order. */
export const GOOD_ORDER = {
  customerId: 'c-1',
  currency: 'EUR',
  items: [{ sku: 'book', quantity: 2, unitPrice: 1_250 }],
} as const;

/** Places an order, by default a good one under a key of its own. */
export function postOrder(
  url: string,
  {
    body = GOOD_ORDER,
    key = randomUUID(),
    headers = {},
  }: { body?: object; key?: string; headers?: Record<string, string> } = {},
): Promise<Response> {
  return fetch(`${url}/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key, ...headers },
    body: JSON.stringify(body),
  });
}

const CONFIG: ApiConfig = {
  host: '127.0.0.1',
  port: 0,
  apiKeys: new Map(),
  backlog: 10_000,
  windows: DEFAULT_WINDOWS,
  routes: { 'inventory.deduct': { transport: 'http', url: 'http://127.0.0.1:1/messages/inventory.deduct' } },
  temporal: { namespace: 'default', taskQueue: 'settle', uiUrl: 'http://127.0.0.1:8233' },
};

function recordingStarter(): RecordingStarter {
  const started: StartableSaga[] = [];
  const cancelled: string[] = [];
  const operated: Operation[] = [];
  const told: string[] = [];
  const starter: RecordingStarter = {
    started,
    cancelled,
    operated,
    told,
    isUp: true,
    startSoon: (saga) => void started.push(saga),
    signalCancel: (sagaId) => {
      cancelled.push(sagaId);
      return starter.isUp ? Promise.resolve() : Promise.reject(new Error('Temporal is away'));
    },
    signalNews: (sagaId) => {
      told.push(sagaId);
      return starter.isUp ? Promise.resolve() : Promise.reject(new Error('Temporal is away'));
    },
    operate: (_sagaId, operation) => {
      operated.push(operation);
      return starter.isUp ? Promise.resolve('resumed') : Promise.reject(new Error('Temporal is away'));
    },
    isReachable: () => Promise.resolve(starter.isUp),
  };
  return starter;
}

function loggerTo(lines: string[]): Logger {
  const sink = new Writable({
    write: (chunk: Buffer, _encoding, done) => {
      lines.push(chunk.toString());
      done();
    },
  });
  return pino({ level: 'trace' }, sink);
}
