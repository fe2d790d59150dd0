import type pg from 'pg';
import { claimMessage, recordAnswer } from '../../src/db/message-log.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { acceptSaga, recordState } from '../../src/db/saga-store.js';
import { FencedError } from '../../src/saga/errors.js';
import { effectKey } from '../../src/saga/ids.js';
import type { PlanStep } from '../../src/saga/plan.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { newSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;

beforeAll(() => {
  pool = openPool(database.url, { max: 4 });
});
afterAll(() => pool.end());

const reason = { code: 'cancelled-by-client', message: 'no longer wanted' };

async function stateOf(id: string): Promise<unknown> {
  const { rows } = await pool.query<{ state: string }>('select state from settle.saga where id = $1', [id]);
  return rows[0]?.state;
}

test('promise 7: a workflow started anew cannot complete a saga that has decided to compensate', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  await recordState(pool, { sagaId: id, state: 'compensating', reason });
  await expect(settleSaga(pool, { sagaId: id, outcome: 'completed' })).rejects.toMatchObject({ reason });
  expect(await stateOf(id)).toBe('compensating');
  await settleSaga(pool, { sagaId: id, outcome: 'compensated', reason });
  expect(await stateOf(id)).toBe('compensated');
});

test('promise 1: the outcome that was settled first stands, and who settles otherwise is told', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  await settleSaga(pool, { sagaId: id, outcome: 'completed' });
  await settleSaga(pool, { sagaId: id, outcome: 'completed' });
  await expect(settleSaga(pool, { sagaId: id, outcome: 'compensated', reason })).rejects.toBeInstanceOf(FencedError);
  expect(await stateOf(id)).toBe('completed');
});

test('promise 6: the decision to compensate names every step that was begun, whoever began it', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  const effect = (step: string) => ({ sagaId: id, step, action: 'do' }) as const;
  const claim = (step: string): Promise<unknown> =>
    claimMessage(pool, { effect: effect(step), tenantId: 'default', type: `test.${step}`, payload: {} });
  await claim('stock');
  await claim('payment');
  await recordAnswer(pool, effectKey(effect('payment')), { status: 'rejected', reason });
  const first = await recordState(pool, { sagaId: id, state: 'compensating', reason });
  expect(first).toEqual({ reason, begun: ['stock'] });
  expect(await recordState(pool, { sagaId: id, state: 'compensating' })).toEqual(first);
});

test('promise 6: a saga that has settled does not compensate any more, and says how it ended', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  await settleSaga(pool, { sagaId: id, outcome: 'completed' });
  expect(await recordState(pool, { sagaId: id, state: 'compensating', reason })).toEqual({ outcome: 'completed' });
  expect(await stateOf(id)).toBe('completed');
});

test.each(['sent', 'unanswered'])('a saga whose pivot is %s in the ledger has to go forward', async (answer) => {
  const saga = newSaga();
  const [order, stock] = saga.plan.items as readonly PlanStep[];
  const pivot: PlanStep = { ...stock!, kind: 'pivot', undo: undefined };
  const { id } = await acceptSaga(pool, { ...saga, plan: { ...saga.plan, items: [order!, pivot] } });
  const effect = { sagaId: id, step: pivot.name, action: 'do' } as const;
  await claimMessage(pool, { effect, tenantId: 'default', type: pivot.action, payload: {} });
  if (answer === 'sent') await recordAnswer(pool, effectKey(effect), { status: 'sent', result: {} });
  expect(await recordState(pool, { sagaId: id, state: 'compensating', reason })).toEqual({ mustGoForward: true });
  expect(await stateOf(id)).toBe('running');
  // a person may vouch for what nobody knows, not for the opposite of what the ledger knows
  const givesUp = await recordState(pool, { sagaId: id, state: 'compensating', reason, givesUp: pivot.name });
  expect(givesUp.mustGoForward ?? false).toBe(answer === 'sent');
});
