import type pg from 'pg';
import { aheadLedger, type AheadEnd, type AheadLedger } from '../../activities/ahead-run.js';
import { createDispatch } from '../../activities/dispatch.js';
import { createRunAhead } from '../../activities/run-ahead.js';
import type { ActivityDependencies } from '../../activities/saga-activities.js';
import { seedCustomers } from '../../src/db/orders.js';
import { seedInvoices } from '../../src/db/payments.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { requestCancel } from '../../src/db/saga-cancel.js';
import { acceptSaga, recordState, startOf, type AcceptedSaga, type NewSaga } from '../../src/db/saga-store.js';
import { localWorks } from '../../src/local-works.js';
import { contractsOf } from '../../src/saga/contracts.js';
import { createRouter, type Router } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import {
  messagesOf,
  newPayment,
  newRegistration,
  startParticipant,
  type AnsweringParticipant,
} from '../support/express.js';
import { newSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;
let participant: AnsweringParticipant;
let router: Router;

beforeAll(async () => {
  pool = createPool(database.url, { max: 6 });
  await withTransaction(pool, async (tx) => {
    await seedCustomers(tx);
    await seedInvoices(tx);
  });
});
afterAll(() => pool.end());
beforeEach(async () => {
  participant = await startParticipant();
  const { url } = participant;
  const types = [...contractsOf(definitions).keys()];
  router = createRouter(Object.fromEntries(types.map((type) => [type, { transport: 'http' as const, url }])));
});
afterEach(async () => {
  await router.close();
  await participant.close();
});

const accept = (saga: NewSaga = newSaga()): Promise<AcceptedSaga> => acceptSaga(pool, saga);

function dependencies(ledger: Partial<AheadLedger> = {}): ActivityDependencies {
  return { pool, router, definitions, localWorks: localWorks(), ahead: { ...aheadLedger(pool), ...ledger } };
}

function runAhead(saga: AcceptedSaga, ledger: Partial<AheadLedger> = {}, forMs = 10_000): Promise<AheadEnd> {
  const start = startOf(saga);
  return createRunAhead(dependencies(ledger))({ start, saga: saga.type, forMs, attemptMs: 1_500 });
}

async function stateOf({ id }: AcceptedSaga): Promise<string> {
  const { rows } = await pool.query<{ state: string }>('select state from settle.saga where id = $1', [id]);
  return rows[0]!.state;
}

const SENT = { status: 'sent', attempts: 1 };
const OWED = { status: 'pending', attempts: 0 };

test('a healthy saga runs to its end: each step is recorded, and it has completed', async () => {
  const saga = await accept();
  const { results, ...end } = await runAhead(saga);
  expect(end).toEqual({ items: 3, slow: [], isCompleted: true });
  expect(results).toMatchObject({ stock: { reservationId: 'r-1' }, payment: { entryId: 'e-1' } });
  expect(participant.received).toEqual([`${saga.id}/stock/do`, `${saga.id}/payment/do`]);
  expect(await messagesOf(pool, saga.id)).toMatchObject([
    { step: 'stock', ...SENT, result: { reservationId: 'r-1' } },
    { step: 'payment', ...SENT, result: { entryId: 'e-1', balance: 1 } },
  ]);
  expect(await stateOf(saga)).toBe('completed');
});

test('promise 3: the business row, its record and the messages owed are one transaction', async () => {
  const { id, ...saga } = await accept();
  await runAhead({ id, ...saga });
  const { rows } = await pool.query(
    `select distinct txid from (select txid from settle.step_effect where saga_id = $1
       union all select txid from settle.message_log where saga_id = $1
       union all select txid from shop.orders where saga_id = $1) as written`,
    [id],
  );
  expect(rows).toHaveLength(1);
});

test('promise 4: run again when its end was lost, it sends nothing again', async () => {
  const saga = await accept();
  const complete = (): Promise<never> => Promise.reject(new Error('the connection is lost'));
  await expect(runAhead(saga, { complete })).rejects.toThrow('the connection is lost');
  expect(await runAhead(saga)).toMatchObject({ items: 3, isCompleted: true });
  // the last answer was lost with the end that it was to be recorded with, the others were recorded by then
  expect(participant.received).toEqual([`${saga.id}/stock/do`, `${saga.id}/payment/do`, `${saga.id}/payment/do`]);
});

test('a saga that has completed is not run again', async () => {
  const saga = await accept();
  await runAhead(saga);
  expect(await runAhead(saga)).toMatchObject({ isCompleted: false });
  expect(participant.received).toHaveLength(2);
  expect(await stateOf(saga)).toBe('completed');
});

test('promise 6: what is refused is recorded, and what comes behind it has not begun', async () => {
  participant.answers.set('inventory.deduct', { status: 409, body: { code: 'out-of-stock', detail: 'none left' } });
  const saga = await accept();
  expect(await runAhead(saga)).toMatchObject({ items: 1, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toMatchObject([
    { step: 'stock', status: 'rejected', code: 'out-of-stock', attempts: 1 },
    { step: 'payment', ...OWED },
  ]);
  const reason = { code: 'test', message: 'what was begun?' };
  const { begun } = await withTransaction(pool, (tx) =>
    recordState(tx, { sagaId: saga.id, state: 'compensating', reason }),
  );
  expect(begun).toEqual(['order']);
});

test.each([
  ['has no answer', 503, []],
  ['asks for time', 202, ['stock']],
])('a participant that %s is left to the workflow', async (_, status, slow) => {
  participant.answers.set('inventory.deduct', { status });
  const saga = await accept();
  expect(await runAhead(saga)).toMatchObject({ items: 1, slow, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toMatchObject([
    { step: 'stock', status: 'pending', attempts: 1 },
    { step: 'payment', ...OWED },
  ]);
  participant.answers.delete('inventory.deduct');
  const effect = { sagaId: saga.id, step: 'stock', action: 'do' } as const;
  const step = { effect, tenantId: 'default', type: 'inventory.deduct', saga: saga.type };
  expect(await createDispatch(dependencies())(step)).toEqual({ reservationId: 'r-1' });
});

test('a first step that refuses, or that this worker lacks, ends the run before anything is sent', async () => {
  const stranger = newSaga();
  const saga = await accept({ ...stranger, input: { ...(stranger.input as object), customerId: 'c-nobody' } });
  expect(await runAhead(saga)).toMatchObject({ items: 0, isCompleted: false });
  const run = createRunAhead({ ...dependencies(), localWorks: new Map() });
  const other = await accept();
  const start = startOf(other);
  expect(await run({ start, saga: other.type, forMs: 1_000, attemptMs: 1_000 })).toMatchObject({ items: 0 });
  expect(await run({ start, saga: 'unheard-of', forMs: 1_000, attemptMs: 1_000 })).toMatchObject({ items: 0 });
  expect(participant.received).toEqual([]);
});

test('a cancel that is accepted meanwhile stops it before the next step, and what was answered is recorded', async () => {
  const release = participant.hold('inventory.deduct');
  const saga = await accept();
  const running = runAhead(saga);
  await eventually(() => expect(participant.received).toHaveLength(1));
  await requestCancel(pool, {
    tenantId: 'default',
    sagaId: saga.id,
    reason: { code: 'cancelled', message: 'no more' },
  });
  release();
  expect(await running).toMatchObject({ items: 2, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toMatchObject([
    { step: 'stock', ...SENT },
    { step: 'payment', ...OWED },
  ]);
  expect(participant.received).toHaveLength(1);
});

test('a cancel that is accepted before the last answer keeps it from completing', async () => {
  const release = participant.hold('accounts.debit');
  const saga = await accept();
  const running = runAhead(saga);
  await eventually(() => expect(participant.received).toHaveLength(2));
  await requestCancel(pool, {
    tenantId: 'default',
    sagaId: saga.id,
    reason: { code: 'cancelled', message: 'no more' },
  });
  release();
  expect(await running).toMatchObject({ items: 3, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toMatchObject([SENT, SENT]);
  expect(await stateOf(saga)).toBe('running');
});

test('a saga that has decided to compensate goes no step forward', async () => {
  const saga = await accept();
  await withTransaction(pool, (tx) =>
    recordState(tx, { sagaId: saga.id, state: 'compensating', reason: { code: 'cancelled', message: 'no more' } }),
  );
  expect(await runAhead(saga)).toMatchObject({ items: 0, isCompleted: false });
  expect(participant.received).toEqual([]);
});

test('the members of a group are sent at the same time; one that is not done keeps the others’ answers', async () => {
  participant.answers.set('accounts.credit', { status: 503 });
  const saga = await accept(newRegistration('ann-ahead'));
  expect(await runAhead(saga)).toMatchObject({ items: 1, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ step: 'profile', ...SENT }),
      expect.objectContaining({ step: 'preferences', ...SENT }),
      expect.objectContaining({ step: 'credit', status: 'pending', attempts: 1 }),
      expect.objectContaining({ step: 'welcome', ...OWED }),
    ]),
  );
  participant.answers.delete('accounts.credit');
  expect(await runAhead(saga)).toMatchObject({ items: 3, isCompleted: true });
  expect(participant.received.filter((key) => key.includes('/profile/'))).toHaveLength(1);
});

test('a plan with a pivot, and a local step behind it, runs to its end', async () => {
  const saga = await accept(newPayment('i-1'));
  expect(await runAhead(saga)).toMatchObject({ items: 4, isCompleted: true });
  expect(await stateOf(saga)).toBe('completed');
  expect((await messagesOf(pool, saga.id)).map(({ status }) => status)).toEqual(['sent', 'sent']);
});

test('a saga that is a step of another stops where that one decides', async () => {
  const saga = await accept(newRegistration('bob-ahead'));
  const parent = { sagaId: saga.id, step: 'other' };
  expect(await runAhead({ ...saga, parent })).toMatchObject({ items: 2, isCompleted: false });
  expect(await messagesOf(pool, saga.id)).toEqual(
    expect.arrayContaining([expect.objectContaining({ step: 'welcome', ...OWED })]),
  );
});

test('when its time is over it begins no step', async () => {
  const saga = await accept();
  expect(await runAhead(saga, {}, 0)).toMatchObject({ items: 0, isCompleted: false });
  expect(await stateOf(saga)).toBe('accepted');
});

test('a message whose answer the ledger could not take is left to the workflow, and the run does not end in silence', async () => {
  let moves = 0;
  const advance: AheadLedger['advance'] = (move) =>
    (moves += 1) === 1 ? Promise.reject(new Error('the ledger is away')) : aheadLedger(pool).advance(move);
  const saga = await accept();
  await expect(runAhead(saga, { advance })).rejects.toThrow('the ledger is away');
  expect(await runAhead(saga)).toMatchObject({ items: 3, isCompleted: true });
});
