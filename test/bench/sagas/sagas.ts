import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Config } from '../../../src/config.js';
import type { BenchOptions } from '../measure.js';
import { chartOf } from './chart.js';
import type { Running } from './contestant.js';
import { fillLedgers, measureGrowth, type Growth } from './growth.js';
import { planOf, specOf, takesPart, type ContestantName, type Plan } from './plan.js';
import { describeMachine, faultsOf, reportOf, type Results } from './report.js';
import { startServers, type Servers } from './servers.js';
import { startSettle, type SettleProgram } from './settle.js';
import { targetsOf } from './targets.js';
import { runWindow, type Figures } from './windows.js';
import { startObvious, startPlain } from './yardsticks.js';

export interface SagasOptions extends BenchOptions {
  /** Temporal's address, the database, the cache: what is set is used, the rest is brought up. */
  readonly config: Config;
  /** `SETTLE_ROUTES`: the participants to use. @default the benchmark's own */
  readonly routesFile?: string;
  /** Where `bench.json` and `bench.svg` are written. @default nowhere */
  readonly out?: string;
  /** @default the build */
  readonly program?: SettleProgram;
}

/** A finished run. */
export interface SagasReport {
  readonly text: string;
  readonly json: unknown;
  /** Why no figure counts; empty when all is well. */
  readonly faults: readonly string[];
}

/**
 * The main benchmark: the same order, a local transaction and two participants, by a plain program without durability, by the obvious
 * version on Temporal and by both lanes of Settle, on one PostgreSQL that syncs.
 *
 * | option | meaning |
 * |---|---|
 * | words | contestants (plain, temporal, workflow, express) and windows (one, many, more, half, burst, faults, faults-half, kill, growth). all |
 * | `--seconds` | of the window with 32 in flight; others take two thirds. 15 |
 * | `--sagas` | of the window with one in flight. 150 |
 * | `--settled` | sagas in the large ledger of the growth window; 1000000 for the whole claim. 100000 |
 * | `--json` | the figures as JSON instead of a table |
 * | `--out <folder>` | writes `bench.json` and `bench.svg` |
 *
 * `DATABASE_URL`, `SETTLE_ROUTES` and `TEMPORAL_ADDRESS` name servers of yours; the growth window is left out then, and with participants
 * of yours the windows in which they are to fail.
 */
export async function benchSagas(options: SagasOptions): Promise<SagasReport> {
  const plan = planOf(options);
  const machine = describeMachine();
  const servers = await startServers(options);
  try {
    const figures: Figures[] = [];
    for (const name of plan.contestants) figures.push(...(await runContestant({ servers, name, plan, options })));
    const growth =
      servers.ledger.isOwn && servers.hasOwnParticipants ? await runGrowth({ servers, plan, options }) : [];
    const needsTemporal = plan.contestants.some((name) => name !== 'plain');
    const results: Results = {
      ...{ machine, hasBooks: servers.hasOwnParticipants, figures, growth },
      ...(needsTemporal && { temporal: (await servers.temporal()).description }),
    };
    return finish(results, options.out);
  } finally {
    await servers.stop();
  }
}

interface Task {
  readonly servers: Servers;
  readonly plan: Plan;
  readonly options: SagasOptions;
}

async function runContestant({ servers, name, plan, options }: Task & { name: ContestantName }): Promise<Figures[]> {
  const figures: Figures[] = [];
  const windows = plan.windows
    .filter((window) => window !== 'growth')
    .filter((window) => takesPart(name, window, servers.hasOwnParticipants));
  if (windows.length === 0) return figures;
  options.progress(`${name}: starting`);
  const running = await startContestant({ servers, name, program: options.program });
  try {
    await servers.load.open(running.url);
    const { faults } = await runWindow(servers, running, { name: 'warm-up', shape: warmUpOf(plan) });
    if (faults.length > 0)
      throw new Error(`the books of ${name} are off before the first window: ${faults.join('; ')}`);
    for (const window of windows) {
      const made = await runWindow(servers, running, specOf(window, plan, figures));
      figures.push(made);
      options.progress(`${name}, ${window}: ${made.perSecond.toFixed(1)}/s ${made.faults.join('; ')}`);
    }
    await servers.load.close();
    return figures;
  } finally {
    await running.stop();
  }
}

/** Long enough for Node's compiler: with 64 in flight the express lane took 3.7 ms of CPU a saga after 10 s of load, 3.1 after 35 s. */
function warmUpOf({ seconds }: Plan): { kind: 'in-flight'; inFlight: number; seconds: number } {
  return { kind: 'in-flight', inFlight: 32, seconds: (seconds * 2) / 3 };
}

function startContestant({
  servers,
  name,
  program,
}: {
  servers: Servers;
  name: ContestantName;
  program?: SettleProgram;
}): Promise<Running> {
  if (name === 'plain') return startPlain(servers);
  if (name === 'temporal') return startObvious(servers);
  return startSettle({ servers, lane: name, program });
}

async function runGrowth({ servers, plan, options }: Task): Promise<readonly Growth[]> {
  const lanes = (['workflow', 'express'] as const).filter((lane) => plan.contestants.includes(lane));
  if (!plan.windows.includes('growth') || lanes.length === 0) return [];
  const { program, progress } = options;
  const growing = { servers, program, progress, settled: plan.settled, seconds: plan.seconds / 3 };
  const filled = await fillLedgers(growing);
  const growth: Growth[] = [];
  for (const lane of lanes) {
    progress(`${lane}, growth`);
    growth.push(await measureGrowth(lane, filled, growing));
  }
  return growth;
}

function finish(results: Results, out: string | undefined): SagasReport {
  const targets = targetsOf(results);
  const json = { benchmark: 'sagas', ...results, targets };
  const faults = faultsOf(results);
  if (out !== undefined && faults.length === 0) {
    mkdirSync(out, { recursive: true });
    writeFileSync(join(out, 'bench.json'), `${JSON.stringify(json, null, 2)}\n`);
    writeFileSync(join(out, 'bench.svg'), chartOf(results));
  }
  return { text: reportOf(results, targets), json, faults };
}
