import { setTimeout as pause } from 'node:timers/promises';
import { activityInfo } from '@temporalio/activity';
import type { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import { createDeliver } from '../../activities/deliver.js';
import type { HalfMessageDependencies } from '../../activities/half-message-activities.js';
import { createDispatch } from '../../activities/dispatch.js';
import type { DispatchArgs } from '../../activities/saga-activities.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { acceptSaga, recordState } from '../../src/db/saga-store.js';
import type { StepAction } from '../../src/saga/ids.js';
import { createRouter, type Router } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { startParticipant, type AnsweringParticipant } from '../support/express.js';
import { openOutbox, routesTo } from '../support/outbox.js';
import { newSaga } from '../support/sagas.js';
import { createWorkerSlots } from '../support/slots.js';

const database = useDatabase('producer');
let pool: pg.Pool;
let router: Router;
let inventory: AnsweringParticipant;
let accounts: AnsweringParticipant;
let dispatch: ReturnType<typeof createDispatch>;

beforeAll(() => {
  pool = createPool(database.url);
});
afterAll(() => pool.end());

beforeEach(async () => {
  inventory = await startParticipant();
  accounts = await startParticipant();
  const to = (types: string[], { url }: AnsweringParticipant): object =>
    Object.fromEntries(types.map((type) => [type, { transport: 'http', url }]));
  router = createRouter({
    ...to(['inventory.deduct', 'inventory.release'], inventory),
    ...to(['accounts.debit'], accounts),
  });
  dispatch = createDispatch({ pool, router, definitions, localWorks: new Map() });
});
afterEach(async () => {
  await router.close();
  await Promise.all([inventory.close(), accounts.close()]);
});

async function newStep(step: 'stock' | 'payment' = 'stock'): Promise<DispatchArgs> {
  const { id } = await acceptSaga(pool, newSaga());
  const target = { tenantId: 'default', saga: 'place-order', effect: { sagaId: id, step, action: 'do' as StepAction } };
  return step === 'stock'
    ? { ...target, type: 'inventory.deduct', payload: { orderId: 'o-1', items: [{ sku: 'book', quantity: 1 }] } }
    : {
        ...target,
        type: 'accounts.debit',
        payload: { orderId: 'o-1', account: 'c-1', currency: 'EUR', amount: 1_250 },
      };
}

function undoOf(step: DispatchArgs): DispatchArgs {
  return { ...step, effect: { ...step.effect, action: 'undo' }, type: 'inventory.release', payload: undefined };
}

function failureOf(step: DispatchArgs): Promise<ApplicationFailure> {
  return dispatch(step).then(
    () => Promise.reject(new Error('it has not failed')),
    (error: ApplicationFailure) => error,
  );
}

/** Lets five sagas find out that nobody answers, then hears no more of it. */
async function openCircuit(): Promise<void> {
  inventory.answers.set('inventory.deduct', { status: 503 });
  inventory.answers.set('inventory.release', { status: 0 });
  for (let n = 0; n < 5; n += 1) expect(await failureOf(await newStep())).toMatchObject({ type: 'RetryableError' });
  inventory.received.length = 0;
}

async function attemptsOf({ effect }: DispatchArgs): Promise<object[]> {
  const { rows } = await pool.query<object>(
    `select action, attempts, first_sent_at is not null as "isBegun" from settle.message_log where saga_id = $1 order by id`,
    [effect.sagaId],
  );
  return rows;
}

test('promise 6: what is held back never began: nothing is sent, nothing is counted, and nothing is there to undo', async () => {
  await openCircuit();
  const step = await newStep();
  for (let n = 0; n < 3; n += 1) {
    const failure = await failureOf({ ...step, maxWaitMs: 900 });
    expect(failure).toMatchObject({ type: 'HeldBack', nextRetryDelay: 900 });
    expect(failure.message).toMatch(/^'inventory.deduct' is held back: http:\S+ does not answer: HTTP 503$/);
  }
  expect(await attemptsOf(step)).toEqual([]);
  const { rows } = await pool.query('select state from settle.saga where id = $1', [step.effect.sagaId]);
  expect(rows).toEqual([{ state: 'running' }]);
  expect(await dispatch(undoOf(step))).toBeNull();
  expect(await attemptsOf(step)).toEqual([]);
  expect(inventory.received).toEqual([]);
});

test('an undo of what may have been applied is held back as well, and goes when its participant is back', async () => {
  const step = await newStep();
  await dispatch(step);
  await openCircuit();
  expect(await failureOf(undoOf(step))).toMatchObject({ type: 'HeldBack' });
  expect(await attemptsOf(step)).toEqual([{ action: 'do', attempts: 1, isBegun: true }]);
  inventory.answers.clear();
  await eventually(() => dispatch(undoOf(step)));
  expect(inventory.received).toEqual([`${step.effect.sagaId}/stock/undo`]);
});

test('while a participant does not answer the ledger does: a known answer, and a decision to compensate', async () => {
  const answered = await newStep();
  const result = await dispatch(answered);
  const decided = await newStep();
  const reason = { code: 'test', message: 'decided' };
  await withTransaction(pool, (tx) => recordState(tx, { ...decided.effect, state: 'compensating', reason }));
  await openCircuit();
  expect(await dispatch(answered)).toEqual(result);
  expect(await failureOf(decided)).toMatchObject({ type: 'FencedError' });
});

test('a message in vain while a participant does not answer waits for its turn, not for its own back-off', async () => {
  await openCircuit();
  const step = await newStep();
  const failure = await eventually(async () => {
    const found = await failureOf(step);
    expect(found.type).toBe('RetryableError');
    return found;
  });
  expect(Number(failure.nextRetryDelay)).toBeGreaterThanOrEqual(900);
  expect(Number(failure.nextRetryDelay)).toBeLessThan(10_000);
});

test('a message of a workflow of its own is held back as well, and not counted', async () => {
  await openCircuit();
  const { rows } = await pool.query<{ id: string }>(`select settle.send('inventory.deduct', '{}') as id`);
  const messageId = rows[0]!.id;
  const deliver = createDeliver({ pool, router } as HalfMessageDependencies);
  await expect(deliver({ messageId })).rejects.toMatchObject({ type: 'HeldBack' });
  const { rows: kept } = await pool.query(
    `select attempts from settle.message_log where saga_id is null and type = 'inventory.deduct'`,
  );
  expect(kept).toEqual([{ attempts: 0 }]);
  inventory.answers.clear();
  expect(await eventually(() => deliver({ messageId }))).toBeNull();
});

test('a relay sends a participant that does not answer one message a second, and the rest when it is back', async () => {
  const notes = await startParticipant();
  const outbox = openOutbox(database.url, routesTo(notes.url, ['notes.write']));
  notes.answers.set('notes.write', { status: 503 });
  const count = 200;
  await withTransaction(outbox.pool, async (tx) => {
    for (let n = 0; n < count; n += 1) await outbox.send({}, tx);
  });
  outbox.relay({ concurrency: 8 });
  await eventually(() => expect(notes.received.length).toBeGreaterThanOrEqual(8));
  await pause(3_500);
  // what was under way when the circuit opened, and some probes
  expect(notes.received.length).toBeLessThanOrEqual(16 + 4);
  const { rows } = await outbox.pool.query<{ attempts: number; begun: number }>(
    `select sum(attempts)::int as attempts, count(first_sent_at)::int as begun from settle.message_log where type = 'notes.write'`,
  );
  expect(rows[0]!.attempts).toBe(notes.received.length);
  expect(rows[0]!.begun).toBeLessThanOrEqual(rows[0]!.attempts);
  notes.answers.clear();
  await eventually(() => expect(new Set(notes.received).size).toBe(count), { timeoutMs: 30_000 });
  await outbox.stop();
  await notes.close();
});

test('100 sagas that wait for a slow participant leave a worker’s slots to those that do not use it', async () => {
  const run = createWorkerSlots(dispatch);
  const answer = inventory.hold('inventory.deduct');
  const patient = { timeoutMs: 60_000 };
  const orders = await Promise.all(Array.from({ length: 100 }, async () => ({ ...(await newStep()), ...patient })));
  const payments = await Promise.all(Array.from({ length: 100 }, () => newStep('payment')));
  let answered = 0;
  const ordered = orders.map((order) => run(order).finally(() => (answered += 1)));
  await eventually(() => expect(inventory.received).toHaveLength(50));
  const begunAt = performance.now();
  await Promise.all(payments.map(run));
  process.stdout.write(`100 others were done in ${Math.round(performance.now() - begunAt)} ms meanwhile\n`);
  expect(answered).toBe(0);
  answer();
  await Promise.all(ordered);
  // what was held back was never sent
  expect(inventory.received.toSorted()).toEqual(orders.map(({ effect }) => `${effect.sagaId}/stock/do`).toSorted());
});

test('a participant that answers fast keeps the fast path, however many sagas use it at once', async () => {
  const steps = await Promise.all(Array.from({ length: 300 }, () => newStep()));
  const paths: boolean[] = [];
  const run = createWorkerSlots((args) => {
    paths.push(activityInfo().isLocal);
    return dispatch(args);
  });
  await Promise.all(steps.map(run));
  expect(inventory.received).toHaveLength(300);
  const durable = paths.filter((isLocal) => !isLocal).length;
  process.stdout.write(`${durable} of 300 took the durable path, after ${paths.length} attempts\n`);
  // those that found neither a place nor an answer coming in: a burst that begins, or a machine that stands still
  expect(durable).toBeLessThan(60);
});

test('a participant that only needs longer than a quick attempt allows opens no circuit', async () => {
  const release = inventory.hold('inventory.deduct');
  const envelopeOf = (n: number): Parameters<Router['send']>[0] => ({
    ...{ messageId: `m-${n}`, source: '/test', type: 'inventory.deduct', time: new Date().toISOString() },
    ...{ sagaId: `s-${n}`, tenantId: 'default', effectKey: `s-${n}/stock/do`, revision: 0, orderKey: `s-${n}` },
    payload: {},
  });
  const send = (isShort: boolean): Promise<unknown> =>
    Promise.all(Array.from({ length: 6 }, (_, n) => router.send(envelopeOf(n), 200, { isShort })));
  await send(true);
  expect(router.room('inventory.deduct')).toBe(Infinity);
  await send(false);
  expect(router.room('inventory.deduct')).toBeLessThan(2);
  release();
});
