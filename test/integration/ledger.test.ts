import { readdirSync } from 'node:fs';
import type pg from 'pg';
import { applyLocal, undoLocal } from '../../src/db/local-effects.js';
import { migrate } from '../../src/db/migrate.js';
import { reopenEffect } from '../../src/db/operator-changes.js';
import { insertOrder, seedCustomers } from '../../src/db/orders.js';
import { withTransaction, type Transaction } from '../../src/db/pool.js';
import { claimDueSagas, countWaiting, listOpenSteps, postponeBriefly } from '../../src/db/saga-scan.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { RejectedError } from '../../src/saga/errors.js';
import { allSteps } from '../../src/saga/plan.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { acceptOrder, newSaga, orderStep, undoOf, type LedgerSaga } from '../support/sagas.js';

const MIGRATIONS = readdirSync(new URL('../../src/db/migrations/', import.meta.url));

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
    expect(await countWaiting(pool, 2)).toMatchObject({ waiting: 2 });
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

  test('an operator’s retry runs the work again over a rejection, and over nothing else', async () => {
    const saga = await accept();
    const refuse = (): never => {
      throw new RejectedError('too-late', 'the shop is closed');
    };
    await expect(applyLocal(pool, orderStep(saga, { work: refuse }))).rejects.toMatchObject({ code: 'too-late' });
    const { effect } = orderStep(saga);
    await withTransaction(pool, (tx) => reopenEffect(tx, effect));
    const placed = await applyLocal(pool, orderStep(saga));
    await withTransaction(pool, (tx) => reopenEffect(tx, effect));
    expect(await applyLocal(pool, orderStep(saga, { work: refuse }))).toEqual(placed);
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

describe('the scan', () => {
  test('of many scanners at the same moment each saga that is due goes to one', async () => {
    await Promise.all(Array.from({ length: 40 }, accept));
    await pool.query('update settle.saga set due_at = clock_timestamp() where finished_at is null');
    const claims = await Promise.all(Array.from({ length: 8 }, () => claimDueSagas(pool, 10)));
    const ids = claims.flat().map(({ id }) => id);
    expect(ids.length).toBeGreaterThanOrEqual(40);
    expect(new Set(ids).size).toBe(ids.length);
  });

  test('a saga that could not be looked at is due again soon', async () => {
    const { id } = await accept();
    await pool.query('update settle.saga set scans = 9, due_at = clock_timestamp() where id = $1', [id]);
    await postponeBriefly(pool, [id]);
    const soon = `select scans, due_at <= clock_timestamp() + interval '3 seconds' as soon from settle.saga where id = $1`;
    expect(await one(soon, [id])).toEqual({ scans: 0, soon: true });
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
