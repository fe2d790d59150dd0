import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { findFreePorts } from '../../src/dev/ports.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { runMain, startMain, type MainProcess } from '../support/processes.js';
import { openShop, type Shop } from '../support/shop.js';

const producer = useDatabase('producer');
const inventory = useDatabase('inventory');
const accounts = useDatabase('accounts');
const profiles = useDatabase('profiles');
let api: MainProcess;
let worker: MainProcess;
let participants: MainProcess;
let env: Record<string, string>;
let shop: Shop;

beforeAll(async () => {
  const port = await findFreePorts(7);
  env = {
    PORT: `${port}`,
    DATABASE_URL: producer.url,
    SETTLE_INVENTORY_DATABASE_URL: inventory.url,
    SETTLE_ACCOUNTS_DATABASE_URL: accounts.url,
    SETTLE_PROFILES_DATABASE_URL: profiles.url,
    TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
    SETTLE_TASK_QUEUE: `orders-${randomUUID()}`,
    LOG_LEVEL: 'warn',
  };
  const migrated = await runMain({ args: ['migrate', '--seed'], env });
  expect(migrated).toMatchObject({ code: 0 });
  [participants, worker, api] = (await Promise.all(
    ['participants', 'worker', 'api'].map((role) => startMain({ args: [role], env: { ...env, LOG_LEVEL: 'info' } })),
  )) as [MainProcess, MainProcess, MainProcess];
  shop = openShop(`http://127.0.0.1:${port}`);
});

afterAll(async () => {
  for (const main of [api, worker, participants]) expect(await main.kill('SIGTERM')).toEqual({ code: 0, signal: null });
});

async function query<T extends pg.QueryResultRow>(url: string, sql: string, values: unknown[] = []): Promise<T[]> {
  const client = new pg.Client(url);
  await client.connect();
  try {
    return (await client.query<T>(sql, values)).rows;
  } finally {
    await client.end();
  }
}

const stockOf = async (sku: string): Promise<object | undefined> =>
  (await query(inventory.url, 'select on_hand, sold from inventory.stock where sku = $1', [sku]))[0];

test('a healthy order costs Temporal one workflow task, and twelve events at the most', async () => {
  const { body } = await shop.order();
  await shop.settled(body.sagaId);
  const connection = await Connection.connect({ address: process.env.SETTLE_TEST_TEMPORAL_ADDRESS! });
  try {
    const handle = new Client({ connection }).workflow.getHandle(body.sagaId);
    await handle.result();
    const { events = [] } = await handle.fetchHistory();
    expect(events!.length).toBeLessThanOrEqual(12);
    expect(events!.filter((event) => event.workflowTaskScheduledEventAttributes)).toHaveLength(1);
  } finally {
    await connection.close();
  }
});

test('an order that everybody can serve happens everywhere', async () => {
  const { status, headers, body } = await shop.order();
  expect(status).toBe(202);
  expect(headers.get('location')).toBe(`/v1/sagas/${body.sagaId}`);
  expect(await shop.settled(body.sagaId)).toMatchObject({
    state: 'completed',
    reason: null,
    steps: [
      { name: 'order', status: 'done' },
      { name: 'stock', status: 'done', attempts: 1, effectKeys: { do: `${body.sagaId}/stock/do` } },
      { name: 'payment', status: 'done', attempts: 1 },
    ],
  });
  expect((await shop.get(`/v1/orders/${body.orderId}`)).body).toMatchObject({
    status: 'placed',
    sagaState: 'completed',
    total: 1_250,
  });
});

test('an order without stock is undone, and nobody has paid', async () => {
  const { body } = await shop.order({ items: [{ sku: 'sold-out', quantity: 1, unitPrice: 100 }] });
  expect(await shop.settled(body.sagaId)).toMatchObject({
    state: 'compensated',
    reason: { code: 'out-of-stock', step: 'stock' },
    steps: [{ status: 'undone' }, { status: 'rejected' }, { status: 'skipped' }],
  });
  expect((await shop.get(`/v1/orders/${body.orderId}`)).body).toMatchObject({ status: 'cancelled' });
  expect(await query(accounts.url, 'select 1 from accounts.entry where saga_id = $1', [body.sagaId])).toEqual([]);
});

test('an order without money gives its stock back', async () => {
  const before = await stockOf('rare');
  const { body } = await shop.order({ customerId: 'c-poor', items: [{ sku: 'rare', quantity: 1, unitPrice: 100 }] });
  expect(await shop.settled(body.sagaId)).toMatchObject({
    state: 'compensated',
    reason: { code: 'insufficient-funds', step: 'payment' },
    steps: [{ status: 'undone' }, { status: 'undone' }, { status: 'rejected' }],
  });
  expect(await stockOf('rare')).toEqual(before);
});

test('the last piece goes to one of ten who want it at the same moment', async () => {
  const wanted = { items: [{ sku: 'rare', quantity: 1, unitPrice: 100 }] };
  const orders = await Promise.all(
    Array.from({ length: 10 }, (_, n) => shop.order({ ...wanted, customerId: `c-${n + 10}` })),
  );
  const ends = await Promise.all(orders.map(({ body }) => shop.settled(body.sagaId)));
  expect(ends.filter(({ state }) => state === 'completed')).toHaveLength(1);
  expect(await stockOf('rare')).toMatchObject({ on_hand: '0', sold: '1' });
});

test('a client that waits has the order itself, or learns why it was refused', async () => {
  const placed = await shop.order({ wait: 30 });
  expect(placed).toMatchObject({ status: 201, body: { status: 'placed', total: 1_250 } });
  expect(placed.headers.get('preference-applied')).toBe('wait=30');
  const refused = await shop.order({ wait: 30, customerId: 'nobody' });
  expect(refused).toMatchObject({ status: 409, body: { reason: { code: 'unknown-customer' } } });
});

test('promise 2: the same key brings the same answer, with another body it is refused and nothing has changed', async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 50 }, () => shop.order({ key })));
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  await shop.settled(answers[0]!.body.sagaId);
  const before = await query(producer.url, 'select * from settle.saga where id = $1', [answers[0]!.body.sagaId]);
  const other = await shop.order({ key, customerId: 'c-2' });
  expect(other.status).toBe(422);
  expect(await shop.order({ key })).toMatchObject({ status: 202, body: answers[0]!.body });
  expect(await query(producer.url, 'select * from settle.saga where id = $1', [answers[0]!.body.sagaId])).toEqual(
    before,
  );
});

test('a participant that is away delays an order, and a cancel takes it back meanwhile', async () => {
  await participants.kill('SIGKILL');
  const [delayed, cancelled] = await Promise.all([shop.order(), shop.order()]);
  for (const { body } of [delayed, cancelled]) {
    await eventually(async () => {
      expect((await shop.saga(body.sagaId)).steps[1]!.attempts).toBeGreaterThan(2);
    });
  }
  expect((await shop.cancel(cancelled.body.sagaId)).status).toBe(202);
  await eventually(async () => {
    expect((await shop.saga(cancelled.body.sagaId)).state).toBe('compensating');
  });
  participants = await startMain({ args: ['participants'], env: { ...env, LOG_LEVEL: 'info' } });
  expect(await shop.settled(delayed.body.sagaId)).toMatchObject({ state: 'completed' });
  const end = await shop.settled(cancelled.body.sagaId);
  expect(end).toMatchObject({ state: 'compensated', reason: { code: 'cancelled' } });
  expect((await shop.cancel(cancelled.body.sagaId)).status).toBe(409);
  const inbox = await query(
    inventory.url,
    'select action, status from inventory.inbox where saga_id = $1 order by action',
    [cancelled.body.sagaId],
  );
  expect(inbox).toEqual([
    { action: 'do', status: 'tombstone' },
    { action: 'undo', status: 'applied' },
  ]);
});

test('promise 1: a worker that is killed with orders under way loses none of them', async () => {
  const orders = await Promise.all(Array.from({ length: 20 }, () => shop.order()));
  await worker.kill('SIGKILL');
  worker = await startMain({ args: ['worker'], env: { ...env, LOG_LEVEL: 'info' } });
  const ends = await Promise.all(orders.map(({ body }) => shop.settled(body.sagaId)));
  expect(new Set(ends.map(({ state }) => state))).toEqual(new Set(['completed']));
});

test('when all is done, stock and money are where they were, less what was sold', async () => {
  const unequal = await query(inventory.url, 'select sku from inventory.stock where on_hand + sold <> opening');
  expect(unequal).toEqual([]);
  expect(await query(accounts.url, 'select sum(balance - opening)::text as moved from accounts.account')).toEqual([
    { moved: '0' },
  ]);
});
