import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { eventually } from '../support/eventually.js';
import { useTroubleStack } from '../support/trouble-stack.js';

const ORDERS = 100;
const ORDER = { customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }] } as const;
const PAYMENTS = 10;
/** Sagas that wait are rows and workflows, not memory of the process that has accepted them. */
const MOST_MB = 150;

/** An ill participant by the status that it answers, 0: it ends every connection. The express lane must know one like the other: see its unit tests. */
const ILL = [
  ['workflow', 503],
  ['workflow', 0],
  ['express', 503],
] as const;

describe.each(['workflow', 'express'] as const)('on the %s lane', (lane) => {
  const stack = useTroubleStack(`trouble-${lane}`, lane);

  let pool: pg.Pool;
  beforeAll(() => {
    pool = new pg.Pool({ connectionString: stack.ledger.url, max: 2 });
  });
  afterAll(() => pool.end());

  const ask = async <Row extends pg.QueryResultRow>(sql: string, values: unknown[] = []): Promise<Row> =>
    (await pool.query<Row>(sql, values)).rows[0]!;
  /** Whether the saga has completed without a workflow. */
  const isExpress = async (id: string): Promise<boolean> => (await ask<{ is: boolean }>(IS_EXPRESS, [id])).is;
  /** A busy machine may refuse some: then they are offered again. */
  const order = (): Promise<string> =>
    eventually(
      async () => {
        const { status, body } = await stack.office.order(ORDER);
        expect(status).toBe(202);
        return body.sagaId;
      },
      { everyMs: 500, timeoutMs: 60_000 },
    );
  const orders = (count: number): Promise<string[]> => Promise.all(Array.from({ length: count }, order));
  const untilSettled = (timeoutMs: number): Promise<void> =>
    eventually(async () => expect(await ask(ORDER_ENDS)).toMatchObject({ open: 0 }), { timeoutMs });

  const untilNoMoreBegin = async (): Promise<void> => {
    let seen: unknown;
    const look = async (): Promise<void> => {
      const before = seen;
      expect((seen = await ask(WAITING))).toEqual(before);
    };
    await eventually(look, { everyMs: 2_000 });
  };

  /** What payments of invoices take from here on, one after the other, in ms. */
  const payAll = async (first: number): Promise<number[]> => {
    const times: number[] = [];
    for (let n = first; n < first + PAYMENTS; n += 1) {
      const begunAt = performance.now();
      const { body } = await stack.office.pay({ invoiceId: `i-${n}` });
      expect(await stack.office.settled(body.sagaId)).toMatchObject({ state: 'completed' });
      times.push(Math.round(performance.now() - begunAt));
    }
    return times;
  };

  const ofLane = ILL.filter(([each]) => each === lane).map(([, status]) => status);
  test.each(ofLane)(
    'an ill participant (%d) gets one message a second, and all goes on when it is back',
    async (status) => {
      const { inventory } = stack;
      const before = (await ask<{ completed: number }>(ORDER_ENDS)).completed;
      const restMb = stack.apiMemoryMb();
      const backBefore = countBack(stack.log());
      inventory.answers.set('inventory.deduct', { status });
      await orders(ORDERS);
      await eventually(async () => expect(await ask(WAITING)).toEqual({ waiting: ORDERS }));
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
      expect(stack.apiMemoryMb()).toBeLessThan(restMb + MOST_MB);
      inventory.answers.clear();
      const backAt = Date.now();
      // how soon at the latest is a matter of test/faults/outages.test.ts
      await untilSettled(120_000);
      process.stdout.write(`all settled ${Date.now() - backAt} ms after it was back\n`);
      expect((await ask<{ completed: number }>(ORDER_ENDS)).completed).toBe(before + ORDERS);
      expect(countBack(stack.log())).toBeGreaterThan(backBefore);
      await eventually(async () => {
        const id = await order();
        await stack.office.settled(id);
        expect(await isExpress(id)).toBe(lane === 'express');
      });
    },
  );

  test('orders that wait for a participant that hangs do not hold up payments, which need another', async () => {
    const before = (await ask<{ completed: number }>(ORDER_ENDS)).completed;
    const alone = median(await payAll(1));
    const letGo = stack.inventory.hold('inventory.deduct');
    const waiting = await orders(ORDERS);
    // starting so many takes the machine, whatever they wait for then
    await untilNoMoreBegin();
    const times = await payAll(1 + PAYMENTS);
    process.stdout.write(`payments meanwhile: ${times.join(', ')} ms, alone ${alone} ms\n`);
    expect(await ask(ORDER_ENDS)).toMatchObject({ open: waiting.length });
    // those that hang keep what they hold for seconds
    expect(median(times)).toBeLessThan(Math.max(1_000, 4 * alone));
    letGo();
    await untilSettled(120_000);
    expect(await ask(ORDER_ENDS)).toEqual({ completed: before + ORDERS, open: 0 });
  });
});

const median = (times: number[]): number => times.toSorted((a, b) => a - b)[times.length / 2]!;

/** How often the worker has logged that a participant is back. */
const countBack = (log: string): number => log.split('a participant answers again').length;

const ORDER_ENDS = `select count(*) filter (where state = 'completed')::int as completed, count(*) filter (where finished_at is null)::int as open from settle.saga where type = 'place-order'`;
const WAITING = `select count(*)::int as waiting from settle.saga where type = 'place-order' and state = 'running' and finished_at is null`;
const IS_EXPRESS = `select state = 'completed' and leased_until is not null as is from settle.saga where id = $1`;
