import { eventually } from '../support/eventually.js';
import { EXPRESS_CRASH_POINTS } from '../support/faults/crash-points.js';
import { assertNone, useFaults } from '../support/faults/fixture.js';
import type { Scenario } from '../support/faults/load.js';
import { cancelWithLostAnswer, deliverLate, ordersOf, wake, type Provocation } from '../support/faults/provocations.js';
import type { Run } from '../support/faults/run.js';
import { blow, planStorm } from '../support/faults/storm.js';
import type { Supervised } from '../support/faults/supervisor.js';
import { ROLES, startSystem } from '../support/faults/system.js';

// The faults of the other files again, on the lane whose sagas live in the process that is hit. A saga that this lane has settled has no
// workflow; every other has one, and the checker holds each against what it is.

const faults = useFaults('express');

/** Fails unless the lane has settled some of the run's sagas: else the run would say nothing of it. */
async function expectUsed(run: Run): Promise<void> {
  const { rows } = await run.databases.settle.query(
    `select from settle.saga where state = 'completed' and leased_until is not null limit 1`,
  );
  expect(rows).toHaveLength(1);
}

/** Places orders until the lane has settled one: it may rest from the first fault to the last. Returns how many. */
async function orderUntilUsed(run: Run): Promise<number> {
  let orders = 0;
  await eventually(
    async () => {
      await run.order('completes');
      orders += 1;
      await expectUsed(run);
    },
    { everyMs: 500 },
  );
  return orders;
}

describe('promise 1: kill -9 hits the process that accepts and runs', () => {
  let run: Run;
  let api: Supervised | undefined;
  let seed = 0;

  beforeAll(async () => {
    run = await faults.openRun();
    await Promise.all([run.start('participants'), run.start('worker')]);
  });
  afterAll(() => run?.close());

  /** Those that are handed over are refused by a participant; each other point is passed by those that go well too. */
  const scenariosOf = (point: string): readonly Scenario[] =>
    point.endsWith('hand-over') ? ['no-money'] : ['completes', 'no-money', 'cancelled', 'duplicate'];

  test.each(EXPRESS_CRASH_POINTS)('at %s', async (point) => {
    if (api) await run.supervisor.stop(api);
    const doomed = await run.start('api', { CRASH: `${point}:2` });
    api = doomed;
    // until the last of these processes, which is not armed
    run.load({ seed: (seed += 1), orders: 4, scenarios: scenariosOf(point), giveUpMs: 240_000 });
    await run.supervisor.awaitCrash(doomed, point);
    expect(run.supervisor.faults.at(-1)).toMatchObject({
      name: `crash ${point}`,
      proof: expect.stringContaining('exit signal 9') as string,
    });
  });

  test('and after all of these crashes every order has exactly one outcome', async () => {
    await run.start('api');
    await run.untilQuiet();
    await expectUsed(run);
    assertNone(await run.verdict());
  });
});

test.each<[string, Provocation]>([
  [
    'promises 1 to 4: orders of every kind settle, once, with the books balanced',
    ordersOf('completes', 'no-money', 'out-of-stock', 'unknown-customer', 'cancelled', 'duplicate', 'other-body'),
  ],
  ['promise 5: a do that arrives after its undo is refused', deliverLate],
  ['promise 6: a step whose answer was lost is undone', cancelWithLostAnswer],
])('%s', async (_promise, provocation) => {
  assertNone(await faults.provoke(provocation));
});

test('promises 5 and 6: a process that stalls beyond its lease and goes on does nothing that holds', async () => {
  await faults.withRun(async (run) => {
    await Promise.all([run.start('participants'), run.start('worker')]);
    const stalling = await run.start('api', { STALL: 'dispatch-before-send@payment:1:told' });
    const sagaId = await run.order('completes');
    await run.cancel(sagaId);
    // the lease ends first: another takes the saga back
    await run.untilQuiet();
    await wake(stalling);
    await eventually(async () => {
      const { rows } = await run.databases.accounts.query(
        `select from accounts.inbox where saga_id = $1 and action = 'do' and status = 'tombstone'`,
        [sagaId],
      );
      expect(rows).toHaveLength(1);
    });
    assertNone(await run.verdict());
  });
});

test('promise 1: kill -9 of every process at once loses nothing, and neither does a storm after it', async () => {
  await faults.withRun(async (run) => {
    const system = await startSystem(run, faults.servers);
    const before = await orderUntilUsed(run);
    const load = run.load({ seed: 3, orders: 40, lanes: 3, giveUpMs: 240_000 });
    await run.untilAccepted(before + 10);
    await Promise.all([...ROLES.map((role) => system.kill(role)), system.killServer('postgres')]);
    await faults.servers.postgres.restart();
    await Promise.all(ROLES.map((role) => system.replace(role)));
    await blow({ run, system, servers: faults.servers }, planStorm(7, 4));
    await load.accepted;
    await run.untilQuiet();
    assertNone(await run.verdict());
  });
});
