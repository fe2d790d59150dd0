import type { BenchOptions } from '../measure.js';
import type { Figures, WindowSpec } from './windows.js';

/** In the order in which they run: the plain program first, before there is a Temporal beside it. */
export const CONTESTANTS = ['plain', 'temporal', 'workflow', 'express'] as const;
export type ContestantName = (typeof CONTESTANTS)[number];

/** In the order in which they run. */
export const WINDOWS = ['one', 'many', 'more', 'half', 'burst', 'faults', 'faults-half', 'kill', 'growth'] as const;
export type WindowName = (typeof WINDOWS)[number];

/** What a run does; made from the words and options of its command line. */
export interface Plan {
  readonly contestants: readonly ContestantName[];
  readonly windows: readonly WindowName[];
  readonly seconds: number;
  readonly sagas: number;
  readonly settled: number;
}

/** Of windows that show what engines are for. */
const ONLY: Readonly<Partial<Record<WindowName, readonly ContestantName[]>>> = {
  // what it does not survive is no measurement of it
  faults: ['temporal', 'workflow', 'express'],
  'faults-half': ['temporal', 'workflow', 'express'],
  kill: ['temporal', 'workflow', 'express'],
  // the comparison at 64 is that of the express lane with the plain program
  more: ['plain', 'workflow', 'express'],
  growth: ['workflow', 'express'],
};

/** @throws Error that names a word it does not know */
export function planOf({ words, number }: Pick<BenchOptions, 'words' | 'number'>): Plan {
  const wanted = <Name extends string>(names: readonly Name[]): readonly Name[] => {
    const some = names.filter((name) => words.includes(name));
    return some.length === 0 ? names : some;
  };
  const known: readonly string[] = [...CONTESTANTS, ...WINDOWS];
  const unknown = words.find((word) => !known.includes(word));
  if (unknown !== undefined) throw new Error(`'${unknown}' is none of ${known.join(', ')}`);
  return {
    contestants: wanted(CONTESTANTS),
    windows: wanted(WINDOWS),
    seconds: number('seconds', 15),
    sagas: number('sagas', 150),
    settled: number('settled', 100_000),
  };
}

/**
 * Whether a contestant runs in a window.
 *
 * @param hasOwnParticipants whether they are the benchmark's own: others do not fail when they are told to
 */
export function takesPart(contestant: ContestantName, window: WindowName, hasOwnParticipants: boolean): boolean {
  if (window.startsWith('faults') && !hasOwnParticipants) return false;
  return ONLY[window]?.includes(contestant) ?? true;
}

/**
 * What to do in a window.
 *
 * @param before what the same contestant has done so far: a steady rate is half of what it reached
 */
export function specOf(name: Exclude<WindowName, 'growth'>, plan: Plan, before: readonly Figures[]): WindowSpec {
  const { seconds, sagas } = plan;
  const half = (of: WindowName): number => (before.find(({ window }) => window === of)?.perSecond ?? 20) / 2;
  const behaviour = { unavailable: 0.05, refused: 0.1 };
  switch (name) {
    case 'one':
      return { name, shape: { kind: 'in-flight', inFlight: 1, orders: sagas } };
    case 'many':
      return { name, shape: { kind: 'in-flight', inFlight: 32, seconds }, isDeep: true };
    case 'more':
      return { name, shape: { kind: 'in-flight', inFlight: 64, seconds: (seconds * 2) / 3 } };
    case 'half':
      return { name, shape: { kind: 'rate', perSecond: half('many'), seconds: (seconds * 2) / 3 } };
    case 'burst':
      return { name, shape: { kind: 'burst', orders: 256 } };
    case 'faults':
      return { name, shape: { kind: 'in-flight', inFlight: 32, seconds: (seconds * 2) / 3 }, behaviour };
    case 'faults-half':
      return { name, shape: { kind: 'rate', perSecond: half('faults'), seconds: (seconds * 2) / 3 }, behaviour };
    case 'kill':
      return { name, shape: { kind: 'in-flight', inFlight: 64 }, killAfterSeconds: 3 };
  }
}
