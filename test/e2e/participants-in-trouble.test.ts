import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { useTroubleStack } from '../support/trouble-stack.js';

const stack = useTroubleStack('trouble');

const ORDERS = 100;
const ORDER = { customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }] } as const;

let pool: pg.Pool;
beforeAll(() => {
  pool = new pg.Pool({ connectionString: stack.ledger.url, max: 2 });
});
afterAll(() => pool.end());

async function ask<Row extends pg.QueryResultRow>(sql: string): Promise<Row> {
  return (await pool.query<Row>(sql)).rows[0]!;
}

async function untilSettled(timeoutMs: number): Promise<void> {
  await eventually(
    async () => {
      expect(await ask(ORDER_ENDS)).toMatchObject({ open: 0 });
    },
    { timeoutMs },
  );
}

/** A busy machine may refuse some: then they are offered again. */
async function order(count: number): Promise<void> {
  await Promise.all(
    Array.from({ length: count }, () =>
      eventually(async () => expect((await stack.office.order(ORDER)).status).toBe(202), {
        everyMs: 500,
        timeoutMs: 60_000,
      }),
    ),
  );
}

const ORDER_ENDS = `select count(*) filter (where state = 'completed')::int as completed, count(*) filter (where finished_at is null)::int as open from settle.saga where type = 'place-order'`;

test.each([
  ['answers 503', 503],
  ['ends every connection', 0],
])('a participant that %s gets one message a second, and all goes on when it is back', async (_, status) => {
  const { inventory } = stack;
  const before = (await ask<{ completed: number }>(ORDER_ENDS)).completed;
  inventory.answers.set('inventory.deduct', { status });
  await order(ORDERS);
  await eventually(
    async () => {
      const waiting = `select count(*)::int as waiting from settle.saga where type = 'place-order' and state = 'running' and finished_at is null`;
      expect(await ask(waiting)).toEqual({ waiting: ORDERS });
    },
    { timeoutMs: 60_000 },
  );
  // whatever was under way when the circuit opened has ended
  await pause(2_000);
  inventory.received.length = 0;
  await pause(8_000);
  const probes = inventory.received.length;
  const attempts = await ask<{ most: number; sum: number }>(
    `select max(attempts)::int as most, sum(attempts)::int as sum from settle.message_log
      where type = 'inventory.deduct' and status = 'pending'`,
  );
  process.stdout.write(`${probes} messages in 8 s, ${attempts.sum} attempts of ${ORDERS} sagas\n`);
  expect(probes).toBeGreaterThanOrEqual(4);
  expect(probes).toBeLessThanOrEqual(9);
  expect(attempts.sum).toBeLessThan(1.5 * ORDERS);
  inventory.answers.clear();
  const backAt = Date.now();
  // how soon at the latest is a matter of test/faults/outages.test.ts
  await untilSettled(120_000);
  process.stdout.write(`all settled ${Date.now() - backAt} ms after it was back\n`);
  expect((await ask<{ completed: number }>(ORDER_ENDS)).completed).toBe(before + ORDERS);
  expect(stack.log()).toMatch(/a participant answers again/);
});
