import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Runtime } from '@temporalio/worker';
import type pg from 'pg';
import { v7 } from 'uuid';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { commitMessage, createCheckBackHandler, PRODUCER_MIGRATION } from '../../src/producer/index.js';
import { messageId } from '../../src/saga/ids.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { startHalfMessages, type HalfMessages } from '../support/half-messages.js';
import { quietRuntime } from '../support/workflow-bundle.js';

const ledger = useDatabase('producer');
const own = useDatabase('accounts');
const RATE = { perSecond: 50, burst: 1 };
let half: HalfMessages;
let pool: pg.Pool;
let server: Server;
let url: string;

beforeAll(async () => {
  quietRuntime();
  half = await startHalfMessages(ledger.url, { participantUrl: 'http://127.0.0.1:1', checkRate: RATE });
  pool = createPool(own.url, { max: 20 });
  await pool.query(PRODUCER_MIGRATION);
  server = createServer(createCheckBackHandler({ db: pool }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});

afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await pool.end();
  await half.stop();
  await Runtime.instance().shutdown();
});

const freshId = (): string => messageId(v7());

test('a producer that takes many questions at once is asked after many messages in few requests, at its rate', async () => {
  const count = 300;
  const ids: string[] = [];
  // more at a time would wait for a connection longer than a pool lets them, on a busy machine
  while (ids.length < count) {
    const some = Array.from({ length: 20 }, () => half.prepare({ producer: () => 'rolled-back', plan: { batch: 50 } }));
    ids.push(...(await Promise.all(some)));
  }
  await eventually(
    async () => {
      for (const id of ids) expect((await half.find(id)).state).toBe('rolled-back');
    },
    { timeoutMs: 60_000 },
  );
  expect(half.batches.length).toBeLessThan(count / 4);
  expect(half.batches.reduce((sum, size) => sum + size, 0)).toBe(count);
  expect(Math.max(...half.batches)).toBeLessThanOrEqual(50);
});

test('what a batch’s answer leaves out is unanswered, and is asked after again', async () => {
  let asked = 0;
  const forgetful = await half.prepare({
    producer: () => ((asked += 1) > 1 ? 'rolled-back' : 503),
    plan: { batch: 10 },
  });
  const other = await half.prepare({ producer: () => 'rolled-back', plan: { batch: 10 } });
  await eventually(async () => {
    expect(await half.find(forgetful)).toMatchObject({ state: 'rolled-back', silences: 1, checks: 0 });
    expect(await half.find(other)).toMatchObject({ state: 'rolled-back', silences: 0 });
  });
});

async function ask(body: unknown): Promise<{ status: number; verdicts?: Record<string, string> }> {
  const response = await fetch(url, { method: 'POST', body: JSON.stringify(body) });
  return { status: response.status, ...((await response.json()) as object) };
}

test('promise 8: the producer kit answers for many messages as for one, tombstones first, and waits for none', async () => {
  const [committed, never, underWay] = [freshId(), freshId(), freshId()];
  await withTransaction(pool, (tx) => commitMessage(tx, committed));
  const messages = [committed, never, underWay, never].map((id) => ({ messageId: id }));
  await withTransaction(pool, async (tx) => {
    await commitMessage(tx, underWay);
    const { status, verdicts } = await ask({ messages });
    expect(status).toBe(200);
    expect(verdicts).toEqual({ [committed]: 'committed', [never]: 'rolled-back', [underWay]: 'unknown' });
  });
  expect((await ask({ messages })).verdicts).toMatchObject({ [underWay]: 'committed', [never]: 'rolled-back' });
  await expect(withTransaction(pool, (tx) => commitMessage(tx, never))).rejects.toMatchObject({ messageId: never });
});

test('two batches with the same messages in another order do not wait for each other for ever', async () => {
  const messages = Array.from({ length: 100 }, () => ({ messageId: freshId() }));
  const answers = await Promise.all([ask({ messages }), ask({ messages: messages.toReversed() }), ask({ messages })]);
  for (const { status, verdicts } of answers) {
    expect(status).toBe(200);
    for (const verdict of Object.values(verdicts!)) expect(verdict).toMatch(/^(rolled-back|unknown)$/);
  }
});

test.each([
  ['messages that are no list', { messages: 'all' }],
  ['a message without an id', { messages: [{ messageId: 'msg_x' }] }],
  ['more than a hundred', { messages: Array.from({ length: 101 }, () => ({ messageId: freshId() })) }],
  ['nothing at all', null],
])('%s: refused, and no tombstone is left', async (_, body) => {
  const before = await pool.query('select 1 from settle_producer.verdict');
  expect((await ask(body)).status).toBe(400);
  expect((await pool.query('select 1 from settle_producer.verdict')).rowCount).toBe(before.rowCount);
});
