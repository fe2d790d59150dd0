import { CRASH_POINTS, type CrashPoint } from '../support/faults/crash-points.js';
import { assertNone, useFaults } from '../support/faults/fixture.js';
import type { Scenario } from '../support/faults/load.js';
import { openRun, type Role, type Run } from '../support/faults/run.js';
import type { Supervised } from '../support/faults/supervisor.js';

// A process that dies at a crash point is replaced by the one that will die at the next: what the dead one left open is
// finished by those that follow, and the last test looks at all of it.

const SCENARIOS: readonly Scenario[] = ['completes', 'no-money', 'cancelled', 'duplicate'];

const running = new Map<Role, Supervised>();
let run: Run;
let seed = 0;

afterAll(() => run?.close());

const faults = useFaults();

beforeAll(async () => {
  run = await openRun(faults.servers, faults.build);
  await Promise.all((['participants', 'api', 'worker'] as const).map(replace));
});

/** Lets a process of production take the place of one that has died or is to die. */
async function replace(role: Role): Promise<void> {
  const old = running.get(role);
  if (old) await run.supervisor.stop(old);
  running.set(role, await run.start(role));
}

/** Has a process die at a point while orders come in. */
async function expectCrash(role: Role, point: CrashPoint): Promise<void> {
  const old = running.get(role);
  if (old) await run.supervisor.stop(old);
  const doomed = await run.start(role, { CRASH: `${point}:2` });
  running.set(role, doomed);
  run.load({ seed: (seed += 1), orders: SCENARIOS.length, scenarios: SCENARIOS });
  await run.supervisor.awaitCrash(doomed, point);
  expect(run.supervisor.faults.at(-1)).toMatchObject({
    name: `crash ${point}`,
    proof: expect.stringContaining('exit signal 9') as string,
  });
}

describe.each(['worker', 'participants', 'api'] as const)('promise 1: kill -9 hits the %s', (role) => {
  test.each(CRASH_POINTS[role])('at %s', async (point) => {
    await expectCrash(role, point);
  });

  test('and another takes over', async () => {
    await replace(role);
    expect(running.get(role)?.isRunning()).toBe(true);
  });
});

test('promises 1 to 6: after all of these crashes every order has exactly one outcome', async () => {
  await run.untilQuiet();
  assertNone(await run.verdict());
});
