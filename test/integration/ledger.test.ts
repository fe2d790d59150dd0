import { readdirSync } from 'node:fs';
import type pg from 'pg';
import { applyLocal, undoLocal, type LocalEffect } from '../../src/db/local-effects.js';
import { claimMessage, claimUndo, recordAnswer } from '../../src/db/message-log.js';
import { migrate } from '../../src/db/migrate.js';
import { insertOrder, markOrderCancelled, seedCustomers } from '../../src/db/orders.js';
import { createPool, withTransaction, type Transaction } from '../../src/db/pool.js';
import { claimDueSagas, listOpenSteps } from '../../src/db/saga-scan.js';
import { acceptSaga, countWaiting, recordState, requestCancel, settleSaga } from '../../src/db/saga-store.js';
import { FencedError, RejectedError } from '../../src/saga/errors.js';
import type { PlaceOrder } from '../../src/messages/orders.js';
import { allSteps } from '../../src/saga/plan.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { useDatabase } from '../support/databases.js';
import { newSaga } from '../support/sagas.js';

const MIGRATIONS = readdirSync(new URL('../../src/db/migrations/', import.meta.url));

const database = useDatabase('producer');
let pool: pg.Pool;

beforeAll(async () => {
  pool = createPool(database.url, { max: 60 });
  await withTransaction(pool, seedCustomers);
});
afterAll(() => pool.end());

async function accept(): Promise<{ id: string; input: PlaceOrder }> {
  const saga = await acceptSaga(pool, newSaga());
  return { id: saga.id, input: saga.input as PlaceOrder };
}

/** The local step of an order, as the activity runs it. */
function orderStep({ id, input }: { id: string; input: PlaceOrder }, change: Partial<LocalEffect> = {}): LocalEffect {
  return {
    effect: { sagaId: id, step: 'order', action: 'do' },
    tenantId: 'default',
    work: (tx) => insertOrder(tx, { ...input, sagaId: id, tenantId: 'default' }),
    owes: () => [
      { step: 'stock', type: 'inventory.deduct', payload: { orderId: input.orderId } },
      { step: 'payment', type: 'accounts.debit', payload: { orderId: input.orderId } },
    ],
    ...change,
  };
}

function undoOf(step: LocalEffect, orderId: string): LocalEffect {
  return { ...step, effect: { ...step.effect, action: 'undo' }, work: (tx) => markOrderCancelled(tx, orderId) };
}

async function one(sql: string, values: unknown[] = []): Promise<Record<string, unknown>> {
  const { rows } = await pool.query<Record<string, unknown>>(sql, values);
  return rows[0] ?? {};
}

describe('acceptance', () => {
  test('promise 2: fifty requests with one key at the same moment accept one saga', async () => {
    const key = newSaga().id;
    const answers = await Promise.all(
      Array.from({ length: 50 }, () => acceptSaga(pool, newSaga({ idempotencyKey: key }))),
    );
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
  });

  test('the same key of another tenant is another saga', async () => {
    const first = await acceptSaga(pool, newSaga({ idempotencyKey: 'shared' }));
    const second = await acceptSaga(pool, newSaga({ idempotencyKey: 'shared', tenantId: 'other' }));
    expect(second.id).not.toBe(first.id);
  });

  test('promise 9: the plan comes back exactly as it was pinned', async () => {
    const saga = await acceptSaga(pool, newSaga());
    expect(saga.plan).toEqual(JSON.parse(JSON.stringify(placeOrderSaga.plan)));
  });

  test('the backlog is counted no further than asked', async () => {
    await Promise.all([accept(), accept(), accept()]);
    expect(await countWaiting(pool, 2)).toBe(2);
  });
});

describe('a local step', () => {
  test('promise 3: the business row, its record and the messages it owes are one transaction', async () => {
    const saga = await accept();
    await applyLocal(pool, orderStep(saga));
    const { rows } = await pool.query<{ txid: string }>(
      `select txid from shop.orders where saga_id = $1 union all select txid from settle.step_effect where saga_id = $1
       union all select txid from settle.message_log where saga_id = $1`,
      [saga.id],
    );
    expect(rows).toHaveLength(4);
    expect(new Set(rows.map(({ txid }) => txid)).size).toBe(1);
  });

  test('promise 3: when the transaction fails at its very end, none of them is there', async () => {
    const saga = await accept();
    const owes = (): never => {
      throw new Error('the last moment');
    };
    await expect(applyLocal(pool, orderStep(saga, { owes }))).rejects.toThrow('the last moment');
    const counts = await one(
      `select (select count(*) from shop.orders where saga_id = $1) + (select count(*) from settle.step_effect where saga_id = $1)
            + (select count(*) from settle.message_log where saga_id = $1) as rows`,
      [saga.id],
    );
    expect(counts.rows).toBe(0);
  });

  test('twenty attempts at the same moment run the work once, and all have its result', async () => {
    const saga = await accept();
    let runs = 0;
    const work = async (tx: Transaction): Promise<unknown> => {
      runs += 1;
      return insertOrder(tx, { ...saga.input, sagaId: saga.id, tenantId: 'default' });
    };
    const results = await Promise.all(Array.from({ length: 20 }, () => applyLocal(pool, orderStep(saga, { work }))));
    expect(runs).toBe(1);
    expect(new Set(results.map((result) => JSON.stringify(result))).size).toBe(1);
  });

  test('a rejection is stored: its writes are gone, and a repetition is rejected without running', async () => {
    const saga = await accept();
    let runs = 0;
    const work = async (tx: Transaction): Promise<never> => {
      runs += 1;
      await insertOrder(tx, { ...saga.input, sagaId: saga.id, tenantId: 'default' });
      throw new RejectedError('too-late', 'the shop is closed');
    };
    const step = orderStep(saga, { work });
    await expect(applyLocal(pool, step)).rejects.toMatchObject({ code: 'too-late' });
    await expect(applyLocal(pool, step)).rejects.toMatchObject({ code: 'too-late' });
    expect(runs).toBe(1);
    expect((await one('select count(*) as rows from shop.orders where saga_id = $1', [saga.id])).rows).toBe(0);
  });

  test('an unknown customer is refused', async () => {
    const saga = await accept();
    const input = { ...saga.input, customerId: 'nobody' };
    await expect(applyLocal(pool, orderStep({ ...saga, input }))).rejects.toMatchObject({ code: 'unknown-customer' });
  });

  test('promise 5: an undo before its do leaves a tombstone, and the late do is refused', async () => {
    const saga = await accept();
    const step = orderStep(saga);
    await undoLocal(pool, undoOf(step, saga.input.orderId));
    await expect(applyLocal(pool, step)).rejects.toBeInstanceOf(RejectedError);
    expect(
      await one('select status from settle.step_effect where saga_id = $1 and action = $2', [saga.id, 'do']),
    ).toEqual({
      status: 'tombstone',
    });
    expect((await one('select count(*) as rows from shop.orders where saga_id = $1', [saga.id])).rows).toBe(0);
  });

  test('an undo is applied once', async () => {
    const saga = await accept();
    await applyLocal(pool, orderStep(saga));
    const undo = undoOf(orderStep(saga), saga.input.orderId);
    await Promise.all([undoLocal(pool, undo), undoLocal(pool, undo), undoLocal(pool, undo)]);
    expect(await one('select status from shop.orders where saga_id = $1', [saga.id])).toEqual({ status: 'cancelled' });
  });

  test('do and undo at the same moment leave either both or a tombstone, never an order alone', async () => {
    for (let round = 0; round < 25; round += 1) {
      const saga = await accept();
      const step = orderStep(saga);
      await Promise.allSettled([applyLocal(pool, step), undoLocal(pool, undoOf(step, saga.input.orderId))]);
      const { placed } = await one(
        `select count(*) as placed from shop.orders where saga_id = $1 and status = 'placed'`,
        [saga.id],
      );
      expect(placed).toBe(0);
    }
  });
});

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

describe('the scan', () => {
  test('of many scanners at the same moment each saga that is due goes to one', async () => {
    await Promise.all(Array.from({ length: 40 }, accept));
    await pool.query('update settle.saga set due_at = clock_timestamp() where finished_at is null');
    const claims = await Promise.all(Array.from({ length: 8 }, () => claimDueSagas(pool, 10)));
    const ids = claims.flat().map(({ id }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(40);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('promise 9: the steps that open sagas still need are known', async () => {
    await accept();
    const steps = await listOpenSteps(pool);
    expect(steps.map(({ step }) => step).sort()).toEqual(
      allSteps(placeOrderSaga.plan)
        .map(({ name }) => name)
        .sort(),
    );
  });
});

test('twenty processes may migrate at the same moment', async () => {
  await Promise.all(Array.from({ length: 20 }, () => migrate(database.url)));
  expect((await one('select count(*) as migrations from settle_migration')).migrations).toBe(MIGRATIONS.length);
});
