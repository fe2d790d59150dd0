import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Runtime } from '@temporalio/worker';
import type pg from 'pg';
import { v7 } from 'uuid';
import { scanHalfMessages } from '../../activities/half-message-scan.js';
import { withTransaction } from '../../src/db/pool.js';
import { commitMessage, createCheckBackHandler, PRODUCER_MIGRATION } from '../../src/producer/index.js';
import { messageId } from '../../src/saga/ids.js';
import { createCheckBackClient } from '../../src/transports/check-back.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { startHalfMessages, type HalfMessages, type Producer } from '../support/half-messages.js';
import { openPool } from '../support/pools.js';
import { quietRuntime } from '../support/workflow-bundle.js';

const ledger = useDatabase('producer');
const own = useDatabase('accounts');
/** Slow enough that questions wait for their turn on any machine. */
const RATE = { perSecond: 2, burst: 1 };
let half: HalfMessages;
let pool: pg.Pool;
let server: Server;
let url: string;

beforeAll(async () => {
  quietRuntime();
  half = await startHalfMessages(ledger.url, { participantUrl: 'http://127.0.0.1:1', checkRate: RATE });
  pool = openPool(own.url, { max: 20 });
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

/** So long a producer's answer is waited for that no stall of the machine takes for silence. */
const PATIENT = { timeoutMs: 30_000 };

test('questions that are put at the same moment go together, as many as the producer takes, and each gets its own answer', async () => {
  const sizes: number[] = [];
  const producer = createServer((request, response) => {
    void (async () => {
      const body = Buffer.concat((await request.toArray()) as Buffer[]).toString();
      const { messages } = JSON.parse(body) as { readonly messages: readonly { readonly messageId: string }[] };
      sizes.push(messages.length);
      // it commits those that are prepared under an id with an even end, and knows nothing of the others
      const verdicts = messages.map(
        ({ messageId: id }) => [id, /[02468]$/.test(id) ? 'committed' : 'unknown'] as const,
      );
      response.end(JSON.stringify({ verdicts: Object.fromEntries(verdicts) }));
    })();
  });
  await new Promise<void>((resolve) => producer.listen(0, '127.0.0.1', resolve));
  const client = createCheckBackClient();
  const at = { url: `http://127.0.0.1:${(producer.address() as AddressInfo).port}`, batch: 50, ...PATIENT };
  const asked = { key: 'k', type: 'notes.write', tenantId: 'default', preparedAt: new Date().toISOString() };
  const answers = await Promise.all(
    Array.from({ length: 310 }, (_, n) => client.ask({ ...at, question: { ...asked, messageId: `msg-${n}` } })),
  );
  expect(answers.map((answer) => answer.kind === 'answered' && answer.verdict)).toEqual(
    answers.map((_, n) => (n % 2 === 0 ? 'committed' : 'unknown')),
  );
  expect(sizes.toSorted((one, other) => one - other)).toEqual([10, 50, 50, 50, 50, 50, 50]);
  await client.close();
  await new Promise((resolve) => producer.close(resolve));
});

test('a producer that takes many questions at once is asked after many messages in few requests, at its rate', async () => {
  const count = 200;
  const askedAt: number[] = [];
  const producer: Producer = () => {
    askedAt.push(performance.now());
    return 'rolled-back';
  };
  const ids: string[] = [];
  // more at a time would wait for a connection longer than a pool lets them, on a busy machine
  while (ids.length < count) {
    const some = Array.from({ length: 20 }, () => half.prepare({ producer, plan: { batch: 50, ...PATIENT } }));
    ids.push(...(await Promise.all(some)));
  }
  await eventually(
    async () => {
      // a start that Temporal has not answered within 5 s is left to the ledger scan, here as in a worker
      await scanHalfMessages(half.pool, half.starter, new AbortController().signal);
      for (const id of ids) expect((await half.find(id)).state).toBe('rolled-back');
    },
    { timeoutMs: 240_000 },
  );
  const elapsedMs = askedAt.at(-1)! - askedAt[0]!;
  expect(half.batches.reduce((sum, size) => sum + size, 0)).toBe(count);
  expect(Math.max(...half.batches)).toBeLessThanOrEqual(50);
  // at two requests a second, of 50 each: no sooner than that, however fast the machine, but for the two that may go at first
  expect(elapsedMs).toBeGreaterThan(((count - 2 * 50) / (50 * RATE.perSecond)) * 1_000);
  // a request that is not full has gathered for 100 ms before it went: on a slow machine there are more of them, never closer
  const open = half.batches.filter((size) => size < 50).length;
  expect(open).toBeLessThanOrEqual(2 + elapsedMs / 90);
  expect(half.batches.length).toBeLessThan(count);
});

test('what a batch’s answer leaves out is unanswered, and is asked after again', async () => {
  let asked = 0;
  const forgetful = await half.prepare({
    producer: () => ((asked += 1) > 1 ? 'rolled-back' : 503),
    plan: { batch: 10, ...PATIENT },
  });
  const other = await half.prepare({ producer: () => 'rolled-back', plan: { batch: 10, ...PATIENT } });
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
