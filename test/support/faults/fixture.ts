import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeViolations } from './checker.js';
import type { Lane } from '../../../src/saga/lane.js';
import { copyBuild, mutateBuild, type Build, type Mutation } from './dist.js';
import type { Violation } from './evidence.js';
import { startFaultServers, type FaultServers } from './fault-servers.js';
import type { Provocation } from './provocations.js';
import { openRun, type Run, type RunOptions } from './run.js';

/** Those that the outages and storms meet: `npm run faults` sets both; else the express lane has a file of its own. */
export const LANES = (process.env['SETTLE_FAULT_LANES'] ?? 'workflow').split(',') as readonly Lane[];

/** The run of a build that may have a bug in it. */
export interface Chosen extends Pick<RunOptions, 'isHasty'> {
  /** @default the sound one */
  readonly build?: Build;
}

/** What the fault tests of one file share: a build, and servers that they may kill. */
export interface FaultFixture {
  readonly build: Build;
  readonly servers: FaultServers;
  /** A build with a bug in it. */
  mutate(mutations: readonly Mutation[]): Promise<Build>;
  /** Opens a run, which the caller closes. */
  openRun(): Promise<Run>;
  /** Runs `work` in a run of its own, which is closed afterwards. */
  withRun<T>(work: (run: Run) => Promise<T>, chosen?: Chosen): Promise<T>;
  /** Brings a run into a situation and checks what is left of it. */
  provoke(provocation: Provocation, chosen?: Chosen): Promise<readonly Violation[]>;
}

/**
 * Starts the servers before the first test of a file and ends them after its last.
 *
 * @param lane that the sagas of every run take. @default 'workflow'
 */
export function useFaults(lane?: Lane): FaultFixture {
  let folder = '';
  let build: Build | undefined;
  let servers: FaultServers | undefined;
  let mutants = 0;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'settle-build-'));
    build = await copyBuild(join(folder, 'original'));
    servers = await startFaultServers();
  });
  afterAll(async () => {
    await servers?.stop();
    await rm(folder, { recursive: true, force: true });
  });
  const withRun: FaultFixture['withRun'] = async (work, { build: chosen = build!, isHasty } = {}) => {
    const run = await openRun(servers!, chosen, { lane, isHasty });
    try {
      return await work(run);
    } finally {
      await run.close();
    }
  };
  return {
    get build() {
      return build!;
    },
    get servers() {
      return servers!;
    },
    mutate: (mutations) => mutateBuild(build!, join(folder, `mutant-${(mutants += 1)}`), mutations),
    openRun: () => openRun(servers!, build!, { lane }),
    withRun,
    provoke: (provocation, chosen) => withRun(async (run) => run.verdict(await provocation(run)), chosen),
  };
}

/**
 * Fails with the violations and their rows in its message.
 *
 * @throws Error when there are any
 */
export function assertNone(violations: readonly Violation[]): void {
  if (violations.length > 0) throw new Error(describeViolations(violations));
}
