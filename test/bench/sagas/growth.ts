import { percentile } from '../measure.js';
import type { Running } from './contestant.js';
import { fillLedger } from './fill.js';
import type { Servers } from './servers.js';
import { startSettle, type SettleOptions } from './settle.js';
import { runWindow, type Figures } from './windows.js';

/** The same lane beside few and beside many settled sagas. */
export interface Growth {
  readonly contestant: string;
  readonly few: Grown;
  readonly many: Grown;
  readonly faults: readonly string[];
}

/** Medians of the rounds. */
export interface Grown {
  readonly settled: number;
  readonly perSecond: number;
  /** Of all processes, CPU ms a saga. */
  readonly cpu: number;
  readonly settleP50: number;
}

export interface GrowthOptions extends SettleOptions {
  readonly settled: number;
  /** Of each round. */
  readonly seconds: number;
  readonly progress: (line: string) => void;
}

const FEW = 1_000;
/** few, many, many, few: what else the machine does meanwhile hits both alike. */
const ROUNDS = [0, 1, 1, 0, 0, 1, 1, 0] as const;

/** Two of the same run side by side, each on a ledger of its own; the load goes to one after the other. */
export async function measureGrowth(options: GrowthOptions): Promise<Growth> {
  const { servers, lane, settled, seconds, progress } = options;
  const running: Running[] = [];
  try {
    for (const sagas of [FEW, settled]) {
      const name = `${lane}_${sagas}`;
      const one = await startSettle({ ...options, name });
      running.push(one);
      await runRound(servers, one, 2);
      const begunAt = performance.now();
      await fillLedger(one.walUrls[0]!, sagas);
      progress(`${lane}: ${sagas} settled sagas after ${((performance.now() - begunAt) / 1_000).toFixed(1)} s`);
    }
    const rounds: Figures[][] = [[], []];
    // the first of each finds cold caches
    for (const one of running) await runRound(servers, one, 2);
    for (const which of ROUNDS) rounds[which]!.push(await runRound(servers, running[which]!, seconds));
    const [few, many] = rounds.map((each, which) => grownOf(each, which === 0 ? FEW : settled));
    return { contestant: lane, few: few!, many: many!, faults: rounds.flat().flatMap(({ faults }) => faults) };
  } finally {
    for (const one of running) await one.stop();
  }
}

async function runRound(servers: Servers, running: Running, seconds: number): Promise<Figures> {
  await servers.load.open(running.url);
  const shape = { kind: 'in-flight', inFlight: 32, seconds } as const;
  const figures = await runWindow(servers, running, { name: 'growth', shape });
  await servers.load.close();
  return figures;
}

function grownOf(rounds: readonly Figures[], settled: number): Grown {
  const median = (value: (figures: Figures) => number): number => percentile(rounds.map(value), 0.5);
  return {
    settled,
    perSecond: median(({ perSecond }) => perSecond),
    cpu: median(({ cpu: { load: _load, ...roles } }) => Object.values(roles).reduce((sum, each) => sum + each, 0)),
    settleP50: median(({ settle }) => settle.p50),
  };
}
