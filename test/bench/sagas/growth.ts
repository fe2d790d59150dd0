import { percentile } from '../measure.js';
import type { Running } from './contestant.js';
import { fillLedger } from './fill.js';
import type { Servers } from './servers.js';
import { ledgerOf, startSettle, type SettleOptions } from './settle.js';
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

/** A ledger that is full. */
export interface Filled {
  readonly sagas: number;
  readonly template: string;
}

export interface GrowthOptions extends Pick<SettleOptions, 'servers' | 'program'> {
  readonly settled: number;
  /** Of each round. */
  readonly seconds: number;
  readonly progress: (line: string) => void;
}

const FEW = 1_000;
/** few, many, many, few: what else the machine does meanwhile hits both alike. */
const ROUNDS = [0, 1, 1, 0, 0, 1, 1, 0] as const;

/**
 * Makes two ledgers, with few and with many settled sagas.
 *
 * @returns what {@link measureGrowth} takes copies of
 */
export async function fillLedgers(options: GrowthOptions): Promise<readonly Filled[]> {
  const { servers, settled, progress } = options;
  const filled: Filled[] = [];
  for (const sagas of [FEW, settled]) {
    const name = `filled_${sagas}`;
    const running = await startSettle({ ...options, lane: 'express', name });
    // it leaves the sagas of which the others are copies
    await runRound(servers, running, 1).finally(() => running.stop());
    const begunAt = performance.now();
    await fillLedger(servers.ledger.url(ledgerOf(name)), sagas);
    progress(`${sagas} settled sagas after ${((performance.now() - begunAt) / 1_000).toFixed(0)} s`);
    filled.push({ sagas, template: ledgerOf(name) });
  }
  return filled;
}

/** Two of the same lane run side by side, each on a ledger of its own; the load goes to one after the other. */
export async function measureGrowth(
  lane: SettleOptions['lane'],
  filled: readonly Filled[],
  { servers, program, seconds }: GrowthOptions,
): Promise<Growth> {
  const running: Running[] = [];
  try {
    for (const { sagas, template } of filled)
      running.push(await startSettle({ servers, program, lane, template, name: `${lane}_${sagas}` }));
    // the first of each finds cold caches
    for (const one of running) await runRound(servers, one, seconds);
    const rounds: Figures[][] = [[], []];
    for (const which of ROUNDS) rounds[which]!.push(await runRound(servers, running[which]!, seconds));
    const [few, many] = rounds.map((each, which) => grownOf(each, filled[which]!.sagas));
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
