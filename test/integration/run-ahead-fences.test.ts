import type pg from 'pg';
import { z } from 'zod';
import { aheadLedger } from '../../activities/ahead-run.js';
import { createRunAhead } from '../../activities/run-ahead.js';
import { advance, completeForward } from '../../src/db/forward.js';
import { editMessage, reopenEffect } from '../../src/db/operator-changes.js';
import { withTransaction } from '../../src/db/pool.js';
import { acceptSaga, recordState, startOf } from '../../src/db/saga-store.js';
import { defineSaga } from '../../src/saga/define-saga.js';
import type { LocalRef } from '../../src/saga/local-work.js';
import { defineMessage } from '../../src/saga/message-contract.js';
import { createRouter, type Router } from '../../src/transports/router.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { newSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;

beforeAll(() => {
  pool = openPool(database.url, { max: 6, pipelines: true });
});
afterAll(() => pool.end());

const Anything = z.object({}).loose();
const local = (name: string): LocalRef<never, { id: number }> => ({ local: `test.${name}` });
const payingSaga = defineSaga('paying', { input: Anything, businessKey: () => 'test' })
  .local('order', local('order') as never, { undo: local('unorder') as never })
  .message('pay', defineMessage('test.pay', { payload: Anything, result: Anything, kind: 'pivot' }), () => ({}))
  .build();

test('promise 6: a pivot that was never sent does not keep its saga from compensating', async () => {
  const saga = await acceptSaga(pool, newSaga({ type: 'paying', plan: payingSaga.plan, input: {} }));
  const sending = createRouter({ 'test.pay': { transport: 'http', url: 'http://127.0.0.1:9/' } });
  const held = { retryAfterMs: 1_000, reason: 'it has its share of this worker' };
  const router: Router = { ...sending, admit: () => ({ held, leave: () => undefined }) };
  const run = createRunAhead({
    ...{ pool, router, definitions: [payingSaga as never], ahead: aheadLedger(pool) },
    localWorks: new Map([['test.order', () => Promise.resolve({ id: 1 })]]),
  });
  const end = await run({ start: startOf(saga), saga: 'paying', forMs: 10_000, attemptMs: 1_000 });
  await sending.close();
  expect(end).toMatchObject({ items: 1, isCompleted: false });
  const { rows } = await pool.query('select step, attempts from settle.message_log where saga_id = $1', [saga.id]);
  expect(rows).toEqual([{ step: 'pay', attempts: 0 }]);
  const reason = { code: 'deadline', message: 'took too long' };
  const record = await withTransaction(pool, (tx) =>
    recordState(tx, { sagaId: saga.id, state: 'compensating', reason }),
  );
  expect(record).toMatchObject({ begun: ['order'] });
});

const STUCK = { code: 'test', message: 'as the test wants it', step: 'stock' };
const EARLIER = [{ step: 'stock', revision: 0, result: { reservationId: 'earlier' } }];

/** A saga whose first message an operator has edited: an answer to what was sent before may still come. */
async function editedSaga(): Promise<string> {
  const { id: sagaId } = await acceptSaga(pool, newSaga());
  const begins = [{ step: 'stock', type: 'inventory.deduct', payload: { quantity: 1 } }];
  await advance(pool, { sagaId, tenantId: 'default', answers: [], begins });
  const effect = { sagaId, step: 'stock', action: 'do' } as const;
  await withTransaction(pool, async (tx) => {
    await recordState(tx, { sagaId, state: 'parked', reason: STUCK });
    await reopenEffect(tx, effect);
    await editMessage(tx, effect, { quantity: 2 });
    await recordState(tx, { sagaId, state: 'running', resumes: 'stock' });
  });
  return sagaId;
}

test('an answer to an earlier revision completes nothing', async () => {
  const sagaId = await editedSaga();
  expect(await completeForward(pool, { sagaId, answers: EARLIER })).toBe(false);
  const { rows } = await pool.query(
    'select s.state, m.status from settle.saga s join settle.message_log m on m.saga_id = s.id where s.id = $1',
    [sagaId],
  );
  expect(rows).toEqual([{ state: 'running', status: 'pending' }]);
});

test('an answer to an earlier revision begins no other message', async () => {
  const sagaId = await editedSaga();
  const begins = [{ step: 'payment', type: 'accounts.debit', payload: {} }];
  expect(await advance(pool, { sagaId, tenantId: 'default', answers: EARLIER, begins })).toBeUndefined();
});

test('a parked saga does not go on, also where only answers are recorded', async () => {
  const { id: sagaId } = await acceptSaga(pool, newSaga());
  await withTransaction(pool, (tx) => recordState(tx, { sagaId, state: 'parked', reason: STUCK }));
  expect(await advance(pool, { sagaId, tenantId: 'default', answers: [], begins: [] })).toBeUndefined();
});
