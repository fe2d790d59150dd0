import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ApplicationFailure } from '@temporalio/common';
import type pg from 'pg';
import { createDispatch } from '../../activities/dispatch.js';
import type { DispatchArgs } from '../../activities/saga-activities.js';
import { permitRepeat, reopenEffect } from '../../src/db/operator-changes.js';
import { withTransaction } from '../../src/db/pool.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { createRouter, type Router } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { newSaga } from '../support/sagas.js';

interface Answer {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

const DONE: Answer = { status: 200, body: { reservationId: 'r-1' } };
const PAYLOAD = { orderId: 'o-1', items: [{ sku: 'book', quantity: 1 }] };

const database = useDatabase('producer');
let pool: pg.Pool;
let router: Router;
let server: Server;
let answer: Answer = DONE;
let revisions: (string | undefined)[] = [];
let permits: (string | undefined)[] = [];
let traces: (string | undefined)[] = [];

beforeAll(async () => {
  pool = openPool(database.url);
  server = createServer((request, response) => {
    request.resume();
    revisions.push(request.headers['ce-revision']?.toString());
    permits.push(request.headers['settle-may-repeat']?.toString());
    traces.push(request.headers['traceparent']?.toString());
    response.writeHead(answer.status, { 'content-type': 'application/json', ...answer.headers });
    response.end(JSON.stringify(answer.body ?? {}));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const types = ['inventory.deduct', 'inventory.release'];
  router = createRouter(Object.fromEntries(types.map((type) => [type, { transport: 'http' as const, url }])));
});

afterAll(async () => {
  await router.close();
  await pool.end();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

beforeEach(() => {
  revisions = [];
  permits = [];
  traces = [];
});

async function newStep(): Promise<DispatchArgs> {
  const { id } = await acceptSaga(pool, newSaga());
  const effect = { sagaId: id, step: 'stock', action: 'do' } as const;
  return { effect, tenantId: 'default', type: 'inventory.deduct', saga: 'place-order', payload: PAYLOAD };
}

const undoOf = (step: DispatchArgs): DispatchArgs => ({
  ...step,
  effect: { ...step.effect, action: 'undo' },
  type: 'inventory.release',
  payload: undefined,
});

test('a message and its undo carry the trace that their saga was accepted with', async () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01';
  const step = { ...(await newStep()), traceparent };
  await dispatch(step, DONE);
  await dispatch(undoOf(step), { status: 200, body: { released: 1 } });
  await dispatch(await newStep(), DONE);
  expect(traces).toEqual([traceparent, traceparent, undefined]);
});

async function dispatch(step: DispatchArgs, given: Answer): Promise<unknown> {
  answer = given;
  return createDispatch({ pool, router, definitions, localWorks: new Map() })(step);
}

async function failureOf(step: DispatchArgs, given: Answer): Promise<ApplicationFailure> {
  return dispatch(step, given).then(
    () => Promise.reject(new Error('it has not failed')),
    (error: ApplicationFailure) => error,
  );
}

test('a message that has its answer is not sent again', async () => {
  const step = await newStep();
  expect(await dispatch(step, DONE)).toEqual(DONE.body);
  expect(await dispatch(step, { status: 500 })).toEqual(DONE.body);
  expect(revisions).toHaveLength(1);
});

test('promise 6: a rejection after an attempt without an answer does not spare the undo', async () => {
  const step = await newStep();
  expect(await failureOf(step, { status: 503 })).toMatchObject({ type: 'RetryableError' });
  expect(await failureOf(step, { status: 404 })).toMatchObject({ type: 'RejectedError' });
  await dispatch(undoOf(step), { status: 200 });
  expect(revisions).toHaveLength(3);
});

test('a message whose only attempt was rejected has nothing to undo', async () => {
  const step = await newStep();
  await failureOf(step, { status: 409 });
  await dispatch(undoOf(step), { status: 200 });
  expect(revisions).toHaveLength(1);
});

test('promise 9: a payload that an earlier release has sent parks its saga when the contract has become stricter', async () => {
  const step = { ...(await newStep()), payload: { from: 'an earlier release' } };
  await pool.query(
    `insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload, attempts)
     values ($1, $2, 'default', 'stock', 'do', 'inventory.deduct', $3, 1)`,
    [`${step.effect.sagaId}/stock/do`, step.effect.sagaId, JSON.stringify(step.payload)],
  );
  expect(await failureOf(step, DONE)).toMatchObject({ type: 'ParkedError', nonRetryable: true });
  const unsent = { ...(await newStep()), payload: { never: 'sent' } };
  expect(await failureOf(unsent, DONE)).toMatchObject({ type: 'RejectedError', nonRetryable: true });
  expect(revisions).toHaveLength(0);
});

test('an operator’s retry is sent again over a rejection, under the same key and a higher revision', async () => {
  const step = await newStep();
  await failureOf(step, { status: 409 });
  expect(await failureOf(step, DONE)).toMatchObject({ type: 'RejectedError' });
  await withTransaction(pool, (tx) => reopenEffect(tx, step.effect));
  expect(await dispatch(step, DONE)).toEqual(DONE.body);
  expect(revisions).toEqual(['0', '1']);
});

test('an undo that is refused parks, and a retry is sent under a higher revision', async () => {
  const step = await newStep();
  await dispatch(step, DONE);
  expect(await failureOf(undoOf(step), { status: 409, body: { code: 'too-late' } })).toMatchObject({
    type: 'ParkedError',
    details: [{ code: 'too-late' }],
  });
  await withTransaction(pool, (tx) => reopenEffect(tx, undoOf(step).effect));
  await dispatch(undoOf(step), { status: 200 });
  expect(revisions).toEqual(['0', '0', '1']);
});

test('an effect key that the participant has under another payload parks', async () => {
  const problem: Answer = { status: 422, body: { code: 'effect-key-reused', detail: 'another payload' } };
  expect(await failureOf(await newStep(), problem)).toMatchObject({ type: 'ParkedError' });
});

test('a message that its participant no longer remembers parks, and goes with an operator’s word that it may repeat', async () => {
  const step = await newStep();
  const problem: Answer = { status: 422, body: { code: 'beyond-window', detail: 'too old' } };
  expect(await failureOf(step, problem)).toMatchObject({ type: 'ParkedError', details: [{ code: 'beyond-window' }] });
  const confirm = async (): Promise<void> => {
    await withTransaction(pool, async (tx) => {
      await reopenEffect(tx, step.effect);
      await permitRepeat(tx, step.effect);
    });
  };
  await confirm();
  expect(await failureOf(step, problem)).toMatchObject({ type: 'ParkedError' });
  // the word is for one revision: a later retry needs it again
  await withTransaction(pool, (tx) => reopenEffect(tx, step.effect));
  expect(await failureOf(step, problem)).toMatchObject({ type: 'ParkedError' });
  await confirm();
  expect(await dispatch(step, DONE)).toEqual(DONE.body);
  expect(revisions).toEqual(['0', '1', '2', '3']);
  expect(permits).toEqual([undefined, '1', undefined, '3']);
});

test.each([
  ['0', undefined],
  ['Thu, 01 Jan 2015 00:00:00 GMT', undefined],
  ['2', 2_000],
  ['3600', 9_000],
])('Retry-After: %s neither ends the retries nor outlasts them', async (header, waitMs) => {
  const asked: Answer = { status: 503, headers: { 'retry-after': header } };
  const failure = await failureOf({ ...(await newStep()), maxWaitMs: 9_000 }, asked);
  expect(failure.nextRetryDelay).toBe(waitMs);
});

test.each(['\u0000', '\ud800'])(
  'a result with text that no database can hold is unknown, and an undo needs none',
  async (text) => {
    const step = await newStep();
    const answered: Answer = { status: 200, body: { reservationId: text } };
    expect(await failureOf(step, answered)).toMatchObject({ type: 'RetryableError' });
    expect(await dispatch(undoOf(step), answered)).toBeNull();
  },
);

test.each(['\u0000 and more', `${'x'.repeat(499)}\u{1f4a5}`])(
  'a rejection with any text at all is recorded',
  async (detail) => {
    const step = await newStep();
    expect(await failureOf(step, { status: 409, body: { code: 'no', detail } })).toMatchObject({
      type: 'RejectedError',
    });
    expect(await failureOf(step, DONE)).toMatchObject({ type: 'RejectedError' });
  },
);
