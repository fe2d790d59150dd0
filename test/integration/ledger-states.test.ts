import type pg from 'pg';
import { applyLocal } from '../../src/db/local-effects.js';
import { claimMessage, claimUndo, recordAnswer } from '../../src/db/message-log.js';
import { seedCustomers } from '../../src/db/orders.js';
import { withTransaction } from '../../src/db/pool.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { requestCancel } from '../../src/db/saga-cancel.js';
import { acceptSaga, recordState } from '../../src/db/saga-store.js';
import { FencedError } from '../../src/saga/errors.js';
import type { PlanStep } from '../../src/saga/plan.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { acceptOrder, newSaga, orderStep, type LedgerSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;

beforeAll(async () => {
  pool = openPool(database.url, { max: 60 });
  await withTransaction(pool, seedCustomers);
});
afterAll(() => pool.end());

const accept = (): Promise<LedgerSaga> => acceptOrder(pool);

async function one(sql: string, values: unknown[] = []): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<Record<string, unknown>>(sql, values);
  return rows[0] ?? {};
}

describe('the fence', () => {
  test('no do begins once the decision to compensate is recorded', async () => {
    const saga = await accept();
    await applyLocal(pool, orderStep(saga));
    await recordState(pool, { sagaId: saga.id, state: 'compensating', reason: { code: 'no', message: 'no' } });
    const claim = {
      effect: { sagaId: saga.id, step: 'stock', action: 'do' } as const,
      tenantId: 'default',
      type: 'inventory.deduct',
      payload: {},
    };
    await expect(claimMessage(pool, claim)).rejects.toBeInstanceOf(FencedError);
    expect(
      await one(`select attempts from settle.message_log where saga_id = $1 and step = 'stock'`, [saga.id]),
    ).toEqual({ attempts: 0 });
  });

  test('a message that was never sent has nothing to undo', async () => {
    const saga = await accept();
    await applyLocal(pool, orderStep(saga));
    const undo = {
      effect: { sagaId: saga.id, step: 'stock', action: 'undo' } as const,
      tenantId: 'default',
      type: 'inventory.release',
    };
    expect(await claimUndo(pool, undo)).toBeUndefined();
  });

  test('an undo is sent what its do was sent', async () => {
    const saga = await accept();
    const effect = { sagaId: saga.id, step: 'stock', action: 'do' } as const;
    await claimMessage(pool, { effect, tenantId: 'default', type: 'inventory.deduct', payload: { sent: 'first' } });
    await claimMessage(pool, { effect, tenantId: 'default', type: 'inventory.deduct', payload: { sent: 'later' } });
    const undo = await claimUndo(pool, {
      effect: { ...effect, action: 'undo' },
      tenantId: 'default',
      type: 'inventory.release',
    });
    expect(undo?.payload).toEqual({ sent: 'first' });
  });

  test('the first final answer of a participant stays', async () => {
    const saga = await accept();
    const effect = { sagaId: saga.id, step: 'stock', action: 'do' } as const;
    const claim = { effect, tenantId: 'default', type: 'inventory.deduct', payload: {} };
    await claimMessage(pool, claim);
    const key = `${saga.id}/stock/do`;
    await recordAnswer(pool, key, { status: 'sent', result: { first: true } });
    await recordAnswer(pool, key, { status: 'rejected', reason: { code: 'late', message: 'late' } });
    expect(await claimMessage(pool, claim)).toMatchObject({ status: 'sent', result: { first: true }, attempts: 1 });
  });
});

describe('the end', () => {
  test('a terminal state is set once', async () => {
    const { id } = await accept();
    await settleSaga(pool, { sagaId: id, outcome: 'completed' });
    await expect(
      settleSaga(pool, { sagaId: id, outcome: 'compensated', reason: { code: 'no', message: 'no' } }),
    ).rejects.toBeInstanceOf(FencedError);
    await recordState(pool, { sagaId: id, state: 'parked', reason: { code: 'no', message: 'no' } });
    expect(await one('select state, reason from settle.saga where id = $1', [id])).toEqual({
      state: 'completed',
      reason: null,
    });
    await expect(
      pool.query(`update settle.saga set state = 'running', finished_at = null where id = $1`, [id]),
    ).rejects.toThrow('already settled');
  });

  test('the reason for compensating is the first one, also after it was parked', async () => {
    const { id } = await accept();
    await recordState(pool, { sagaId: id, state: 'compensating', reason: { code: 'first', message: '' } });
    await recordState(pool, { sagaId: id, state: 'parked', reason: { code: 'stuck', message: '' } });
    expect(await one('select reason, park_reason from settle.saga where id = $1', [id])).toMatchObject({
      reason: { code: 'first' },
      park_reason: { code: 'stuck' },
    });
    await recordState(pool, { sagaId: id, state: 'compensating' });
    await settleSaga(pool, { sagaId: id, outcome: 'compensated', reason: { code: 'last', message: '' } });
    expect(await one('select reason, park_reason from settle.saga where id = $1', [id])).toMatchObject({
      reason: { code: 'first' },
      park_reason: null,
    });
  });

  test('a cancel is recorded while a saga is open, and refused once it has settled', async () => {
    const { id } = await accept();
    const request = { tenantId: 'default', sagaId: id, reason: { code: 'cancelled', message: 'no' } };
    expect(await requestCancel(pool, { ...request, tenantId: 'other' })).toBe('unknown');
    expect(await requestCancel(pool, request)).toBe('requested');
    await settleSaga(pool, { sagaId: id, outcome: 'compensated', reason: request.reason });
    expect(await requestCancel(pool, request)).toBe('settled');
  });
});

describe('a cancel that was accepted', () => {
  const reason = { code: 'cancelled', message: 'no' };

  test('keeps steps that can be taken back from beginning, however late the workflow learns of it', async () => {
    const saga = await accept();
    await requestCancel(pool, { tenantId: 'default', sagaId: saga.id, reason });
    await expect(applyLocal(pool, orderStep(saga))).rejects.toMatchObject({ name: 'FencedError', reason });
  });

  test('keeps the saga from completing', async () => {
    const saga = await accept();
    await applyLocal(pool, orderStep(saga));
    await requestCancel(pool, { tenantId: 'default', sagaId: saga.id, reason });
    await expect(settleSaga(pool, { sagaId: saga.id, outcome: 'completed' })).rejects.toMatchObject({ reason });
    await settleSaga(pool, { sagaId: saga.id, outcome: 'compensated', reason });
  });

  test('comes too late for a saga that has a step which cannot be taken back', async () => {
    const [first] = placeOrderSaga.plan.items;
    const plan = { ...placeOrderSaga.plan, items: [{ ...(first as PlanStep), kind: 'pivot' as const }] };
    const { id } = await acceptSaga(pool, newSaga({ plan }));
    await requestCancel(pool, { tenantId: 'default', sagaId: id, reason });
    await settleSaga(pool, { sagaId: id, outcome: 'completed' });
    expect(await one('select state from settle.saga where id = $1', [id])).toEqual({ state: 'completed' });
  });
});

test('a saga that has decided to compensate never goes forward again, whatever is recorded after', async () => {
  const saga = await accept();
  const reason = { code: 'no', message: 'no' };
  await recordState(pool, { sagaId: saga.id, state: 'compensating', reason });
  await recordState(pool, { sagaId: saga.id, state: 'parked', reason: { code: 'stuck', message: '' } });
  await recordState(pool, { sagaId: saga.id, state: 'running' });
  expect(await one('select state from settle.saga where id = $1', [saga.id])).toEqual({ state: 'compensating' });
  await expect(applyLocal(pool, orderStep(saga))).rejects.toMatchObject({ name: 'FencedError', reason });
  await expect(settleSaga(pool, { sagaId: saga.id, outcome: 'completed' })).rejects.toMatchObject({ reason });
});

test('of two settles at the same moment both succeed', async () => {
  for (let round = 0; round < 20; round += 1) {
    const { id } = await accept();
    const end = { sagaId: id, outcome: 'completed' } as const;
    const settles = await Promise.allSettled([settleSaga(pool, end), settleSaga(pool, end), settleSaga(pool, end)]);
    expect(settles.filter(({ status }) => status === 'rejected')).toEqual([]);
  }
});
