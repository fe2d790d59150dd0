import type { RepairView } from '../../src/api/repair-schemas.js';
import { usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { ask } from '../support/parked-messages.js';
import { useWarehouseStack } from '../support/warehouse-stack.js';

const COUNT = 200;
const stack = useWarehouseStack();
const pool = usePool(stack.ledger);

const get = async (repairId: string): Promise<RepairView> =>
  (await ask<RepairView>(stack.url, `/v1/repairs/${repairId}`)).body;

/** Waits until so many of a repair's calls have been made. */
const untilDone = (repairId: string, count: number): Promise<RepairView> =>
  eventually(
    async () => {
      const repair = await get(repairId);
      expect(repair.progress.done).toBeGreaterThanOrEqual(count);
      return repair;
    },
    { timeoutMs: 120_000, everyMs: 100 },
  );

test(`of a repair of ${COUNT} sagas each is acted on once, though worker and API are killed in its midst`, async () => {
  stack.warehouse.refuses = 'release';
  const sagaIds: string[] = [];
  while (sagaIds.length < COUNT) {
    const orders = Array.from({ length: 20 }, () => stack.shop.order({ customerId: 'c-poor' }));
    sagaIds.push(...(await Promise.all(orders)).map(({ body }) => body.sagaId));
  }
  await eventually(
    async () => {
      const { rows } = await pool.query('select state, count(*)::int from settle.saga group by state');
      expect(rows).toMatchObject([{ state: 'parked', count: COUNT }]);
    },
    { timeoutMs: 180_000, everyMs: 200 },
  );
  stack.warehouse.refuses = 'nothing';
  const body = { query: { reason: 'closed' }, action: 'retry', actor: 'ann', reason: 'open again', perSecond: 25 };
  // a workflow task that is done again, as its worker stood still, takes a saga out of its parking and parks it again
  const { repairId, etag, count } = await eventually(async () => {
    const { body: planned } = await ask<RepairView>(stack.url, '/v1/repairs', { body });
    expect(planned).toMatchObject({ count: COUNT, refused: 0 });
    return planned;
  });
  expect((await ask(stack.url, `/v1/repairs/${repairId}/confirm`, { body: { etag, count } })).status).toBe(202);

  await untilDone(repairId, 30);
  await stack.kill('worker');
  await stack.start('worker');
  await untilDone(repairId, 90);
  await Promise.all([stack.kill('api'), stack.kill('worker')]);
  await Promise.all([stack.start('api'), stack.start('worker')]);

  await untilDone(repairId, COUNT);
  expect(
    await eventually(async () => {
      const repair = await get(repairId);
      expect(repair.state).toBe('done');
      return repair;
    }),
  ).toMatchObject({ progress: { planned: 0, done: COUNT, skipped: 0 } });
  for (const sagaId of sagaIds) expect((await stack.shop.settled(sagaId)).state).toBe('compensated');
  expect(sagaIds.filter((id) => stack.warehouse.applied.get(id)?.join() !== 'deduct book,release book')).toEqual([]);
  const { rows } = await pool.query(
    `select count(*)::int, count(distinct subject_id)::int as subjects from settle.operator_action where request_id = $1`,
    [repairId],
  );
  expect(rows).toEqual([{ count: COUNT, subjects: COUNT }]);
  expect((await pool.query('select from settle.verify_operator_actions()')).rowCount).toBe(0);
});
