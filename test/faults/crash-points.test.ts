import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { CRASH_POINTS, type CrashPoint } from '../support/faults/crash-points.js';
import { describeViolations } from '../support/faults/checker.js';
import { copyBuild } from '../support/faults/dist.js';
import { startFaultServers, type FaultServers } from '../support/faults/fault-servers.js';
import type { Scenario } from '../support/faults/load.js';
import { openRun, type Run } from '../support/faults/run.js';
import type { Supervised } from '../support/faults/supervisor.js';

// A process that dies at a crash point is replaced by the one that will die at the next: what the dead one left open is
// finished by those that follow, and the last test looks at all of it.

const SCENARIOS: readonly Scenario[] = ['completes', 'no-money', 'cancelled', 'duplicate'];

let folder = '';
let servers: FaultServers | undefined;
let run: Run;
let seed = 0;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'settle-build-'));
  const build = await copyBuild(folder);
  servers = await startFaultServers();
  run = await openRun(servers, build);
});

afterAll(async () => {
  await run?.close();
  await servers?.stop();
  await rm(folder, { recursive: true, force: true });
});

/** Has `victim` die at a point while orders come in. */
async function expectCrashAt(victim: Supervised, point: CrashPoint): Promise<void> {
  run.load({ seed: (seed += 1), orders: SCENARIOS.length, scenarios: SCENARIOS });
  await run.supervisor.awaitCrash(victim, point);
  expect(run.supervisor.faults.at(-1)).toMatchObject({
    name: `crash ${point}`,
    proof: expect.stringContaining('exit signal 9') as string,
  });
}

describe('promise 1: an accepted request has exactly one outcome when kill -9 hits', () => {
  beforeAll(async () => {
    await Promise.all([run.start('participants'), run.start('api')]);
  });

  test.each(CRASH_POINTS.worker)('the worker at %s', async (point) => {
    await expectCrashAt(await run.start('worker', { CRASH: `${point}:2` }), point);
  });
});

test('promises 1 to 6 hold after all of these crashes', async () => {
  await run.start('worker');
  await run.untilQuiet();
  const violations = await run.verdict();
  console.log(describeViolations(violations));
  expect(violations).toEqual([]);
});
