import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { v7 } from 'uuid';
import { withTransaction } from '../../src/db/pool.js';
import {
  answerCheckBack,
  commitMessage,
  createCheckBackHandler,
  createProducer,
  PRODUCER_MIGRATION,
  RolledBackError,
  type Producer,
} from '../../src/producer/index.js';
import { messageId } from '../../src/saga/ids.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { repeat } from '../support/participant-kit.js';
import { openPool } from '../support/pools.js';

const settle = useDatabase('producer');
const own = useDatabase('accounts');
let api: TestApi;
let pool: pg.Pool;
let server: Server;
let checkBackUrl: string;
let producer: Producer;

beforeAll(async () => {
  api = await startTestApi(settle.url);
  pool = openPool(own.url, { max: 40 });
  await pool.query(PRODUCER_MIGRATION);
  await pool.query(PRODUCER_MIGRATION);
  await pool.query('create table public.invoice (id text primary key, message_id text not null)');
  server = createServer(createCheckBackHandler({ db: pool }));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  checkBackUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}/check-back`;
  producer = createProducer({ url: api.url, checkBackUrl });
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await pool.end();
  await api.stop();
});

const message = (key: string): { key: string; type: string; payload: unknown } => ({
  key,
  type: 'inventory.deduct',
  payload: { orderId: key },
});
const pay =
  (id: string) =>
  async (tx: Pick<pg.PoolClient, 'query'>, forMessage: string): Promise<string> => {
    await tx.query('insert into public.invoice values ($1, $2)', [id, forMessage]);
    return `paid ${id}`;
  };
const freshId = (): string => messageId(v7());
const isPaid = async (id: string): Promise<boolean> =>
  (await pool.query('select 1 from public.invoice where id = $1 or message_id = $1', [id])).rowCount === 1;
const verdictAtSettle = async (key: string): Promise<unknown> => {
  const { rows } = await api.pool.query<{ verdict: string }>(
    'select verdict from settle.half_message where idempotency_key = $1',
    [key],
  );
  return rows[0]?.verdict;
};
async function ask(body: string, method = 'POST'): Promise<{ status: number; body: { verdict?: string } }> {
  const response = await fetch(checkBackUrl, { method, body: method === 'GET' ? undefined : body });
  return { status: response.status, body: (await response.json()) as { verdict?: string } };
}

test('promise 3: the business row and the verdict row commit in one transaction, and the message is confirmed', async () => {
  const key = randomUUID();
  const sent = await producer.sendWithTransaction(pool, message(key), pay(key));
  expect(sent).toMatchObject({ result: `paid ${key}`, replayed: false });
  expect(await verdictAtSettle(key)).toBe('committed');
  const { rowCount } = await pool.query(
    `select 1 from settle_producer.verdict v join public.invoice i using (message_id)
      where v.message_id = $1 and v.verdict = 'committed' and v.txid::text = i.xmin::text`,
    [sent.messageId],
  );
  expect(rowCount).toBe(1);
});

test('under the same key the work is done once, and the message stays the same', async () => {
  const key = randomUUID();
  const first = await producer.sendWithTransaction(pool, message(key), pay(key));
  const again = await producer.sendWithTransaction(pool, message(key), () => Promise.reject(new Error('done twice')));
  expect(again).toEqual({ messageId: first.messageId, replayed: true });
});

test('work that fails leaves nothing, and its message is rolled back for good', async () => {
  const key = randomUUID();
  const failing = producer.sendWithTransaction(pool, message(key), async (tx, id) => {
    await pay(key)(tx, id);
    throw new Error('no money');
  });
  await expect(failing).rejects.toThrow('no money');
  expect([await isPaid(key), await verdictAtSettle(key)]).toEqual([false, 'rolled-back']);
  await expect(producer.sendWithTransaction(pool, message(key), pay(key))).rejects.toThrow(RolledBackError);
  expect([await isPaid(key), await verdictAtSettle(key)]).toEqual([false, 'rolled-back']);
});

test('promise 8: a check-back answered rolled-back makes a late commit impossible, and its answer never changes', async () => {
  const id = freshId();
  expect((await ask(JSON.stringify({ messageId: id }))).body).toEqual({ verdict: 'rolled-back' });
  const late = withTransaction(pool, async (tx) => {
    await pay(id)(tx, id);
    await commitMessage(tx, id);
  });
  await expect(late).rejects.toThrow(RolledBackError);
  expect(await isPaid(id)).toBe(false);
  for (let n = 0; n < 5; n++) expect(await answerCheckBack(pool, id)).toBe('rolled-back');
  await expect(pool.query('update settle_producer.verdict set verdict = $1', ['committed'])).rejects.toThrow(
    'for good',
  );
});

test('a check-back that comes while the transaction is under way waits for its end', async () => {
  const id = freshId();
  let answer: Promise<string> | undefined;
  await withTransaction(pool, async (tx) => {
    await commitMessage(tx, id);
    answer = answerCheckBack(pool, id);
    await eventually(async () => {
      const { rowCount } = await pool.query(`select 1 from pg_locks where not granted and locktype = 'transactionid'`);
      expect(rowCount).toBeGreaterThan(0);
    });
    await pay(id)(tx, id);
  });
  expect(await answer).toBe('committed');
});

test('a transaction that takes longer than a check-back waits is unknown, and may still commit', async () => {
  const id = freshId();
  await withTransaction(pool, async (tx) => {
    await commitMessage(tx, id);
    expect(await answerCheckBack(pool, id)).toBe('unknown');
    await pay(id)(tx, id);
  });
  expect(await answerCheckBack(pool, id)).toBe('committed');
});

test('promise 8: of a commit and a check-back at the same moment one wins, a hundred times, and both know who', async () => {
  const won = { committed: 0, 'rolled-back': 0 };
  await repeat(100, async (round) => {
    const id = freshId();
    const commit = withTransaction(pool, async (tx) => {
      // every other round the transaction is late
      if (round % 2 === 1) await tx.query('select 1');
      await commitMessage(tx, id);
      await pay(id)(tx, id);
    }).then(
      () => 'committed' as const,
      (error: unknown) => {
        expect(error).toBeInstanceOf(RolledBackError);
        return 'rolled-back' as const;
      },
    );
    const answers = await Promise.all([commit, answerCheckBack(pool, id), answerCheckBack(pool, id)]);
    expect(new Set([...answers, await answerCheckBack(pool, id)]).size).toBe(1);
    expect(await isPaid(id)).toBe(answers[0] === 'committed');
    won[answers[0]] += 1;
  });
  expect(won.committed + won['rolled-back']).toBe(100);
});

test('a verdict that cannot be told does not fail what has committed', async () => {
  const untold: string[] = [];
  const key = randomUUID();
  const deaf = createProducer({ url: api.url, checkBackUrl, onUntold: (_, id) => void untold.push(id) });
  const stopping = { ...(await startTestApi(settle.url)) };
  const lonely = createProducer({ url: stopping.url, checkBackUrl, onUntold: (_, id) => void untold.push(id) });
  const sent = await lonely.sendWithTransaction(pool, message(key), async (tx, id) => {
    await stopping.stop();
    return pay(key)(tx, id);
  });
  expect([untold, await isPaid(key), await verdictAtSettle(key)]).toEqual([[sent.messageId], true, null]);
  expect((await ask(JSON.stringify({ messageId: sent.messageId }))).body).toEqual({ verdict: 'committed' });
  await deaf.sendWithTransaction(pool, message(key), pay(key));
  expect(await verdictAtSettle(key)).toBe('committed');
});

test('a check-back that is none is refused, and leaves no tombstone', async () => {
  const before = await pool.query('select count(*) from settle_producer.verdict');
  for (const body of ['', 'null', '[]', '{', '{"messageId":1}', '{"messageId":"x"}', `{"messageId":"sg_${v7()}"}`]) {
    expect((await ask(body)).status).toBe(400);
  }
  expect((await ask(' '.repeat(200_000))).status).toBe(413);
  expect((await ask('', 'GET')).status).toBe(405);
  expect((await pool.query('select count(*) from settle_producer.verdict')).rows).toEqual(before.rows);
});

test('without its database a producer gives no answer, which is asked for again', async () => {
  const errors: unknown[] = [];
  const away = createServer(
    createCheckBackHandler({
      db: { query: () => Promise.reject(new Error('away')) } as unknown as pg.Pool,
      onError: (error) => errors.push(error),
    }),
  );
  await new Promise<void>((resolve) => away.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(away.address() as AddressInfo).port}`;
  const body = JSON.stringify({ messageId: freshId() });
  expect((await fetch(url, { method: 'POST', body })).status).toBe(503);
  expect(errors).toHaveLength(1);
  away.closeAllConnections();
  await new Promise((resolve) => away.close(resolve));
});
