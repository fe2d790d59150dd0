import type { Measure } from '../measure.js';
import { totalOf, type Results } from './report.js';
import type { Figures } from './windows.js';

/** The figures that have a target; those whose contestants or windows did not run, or whose books are off, are left out. */
export function targetsOf(results: Pick<Results, 'figures' | 'growth'>): readonly Measure[] {
  const [figures, growth] = [soundOf(results.figures), soundOf(results.growth)];
  const find = (contestant: string, window: string): Figures | undefined =>
    figures.find((each) => each.contestant === contestant && each.window === window);
  return [...workflowTargets(find), ...expressTargets(find), ...cruelTargets(figures), ...growthTargets(growth)].filter(
    ({ value }) => !Number.isNaN(value),
  );
}

function soundOf<T extends { readonly faults: readonly string[] }>(all: readonly T[]): readonly T[] {
  return all.filter(({ faults }) => faults.length === 0);
}

type Find = (contestant: string, window: string) => Figures | undefined;

function workflowTargets(find: Find): readonly Measure[] {
  const [lane, obvious] = [find('workflow', 'many'), find('temporal', 'many')];
  const [one, half] = [find('workflow', 'one'), find('workflow', 'half')];
  const cpu = (figures?: Figures): number | undefined => figures && totalOf(figures.cpu);
  return [
    atLeast('workflow lane to obvious Temporal, throughput', ratio(lane?.perSecond, obvious?.perSecond), 4),
    atMost('workflow lane to obvious Temporal, CPU a saga', ratio(cpu(lane), cpu(obvious)), 0.25),
    atMost('workflow lane, accept p50 with one in flight (ms)', one?.accept.p50, 10),
    atMost('workflow lane, accept p99 at half load (ms)', half?.accept.p99, 50),
    atMost('workflow lane, events a saga', lane?.events, 12),
  ];
}

function expressTargets(find: Find): readonly Measure[] {
  const [lane, plain] = [find('express', 'more'), find('plain', 'more')];
  const [one, many] = [find('express', 'one'), find('express', 'many')];
  return [
    atLeast('express lane to plain program, throughput at 64', ratio(lane?.perSecond, plain?.perSecond), 0.85),
    atMost('express lane, CPU a saga, all processes (ms)', lane && totalOf(lane.cpu), 2.5),
    atMost('express lane, WAL syncs a saga with 32 in flight', many?.walSyncs, 1.5),
    atMost('express lane, accept p50 with one in flight (ms)', one?.accept.p50, 3),
    atMost('express lane, settle p50 with one in flight (ms)', one?.settle.p50, 6),
  ];
}

function cruelTargets(figures: readonly Figures[]): readonly Measure[] {
  const ours = figures.filter(({ contestant }) => ['workflow', 'express'].includes(contestant));
  return ours.flatMap(({ contestant, window, settle, readyMs, slowestMs }) => {
    const among = `${contestant} lane, settle p99 among 503s and refusals`;
    if (window === 'faults') return [atMost(`${among}, 32 in flight (ms)`, settle.p99, 1_000)];
    if (window === 'faults-half') return [atMost(`${among}, at half load (ms)`, settle.p99, 1_000)];
    if (window !== 'kill') return [];
    return [
      atMost(`${contestant} lane, ready again after kill -9 (ms)`, readyMs, 2_000),
      atMost(`${contestant} lane, slowest saga after kill -9 (ms)`, slowestMs, 5_000),
    ];
  });
}

function growthTargets(growth: Results['growth']): readonly Measure[] {
  return growth.flatMap(({ contestant, few, many }) => {
    const beside = `${contestant} lane beside ${many.settled.toLocaleString('en')} settled sagas`;
    return [
      atLeast(`${beside}, throughput`, many.perSecond / few.perSecond, 0.9),
      atMost(`${beside}, CPU a saga`, many.cpu / few.cpu, 1.1),
      atMost(`${beside}, settle p50`, many.settleP50 / few.settleP50, 1.1),
    ];
  });
}

function ratio(value: number | undefined, to: number | undefined): number | undefined {
  return value === undefined || to === undefined ? undefined : value / to;
}

function atLeast(name: string, value: number | undefined, target: number): Measure {
  return { name, value: value ?? NaN, unit: '', target: { atLeast: target } };
}

function atMost(name: string, value: number | undefined, target: number): Measure {
  return { name, value: value ?? NaN, unit: '', target: { atMost: target } };
}
