import { arch, cpus, loadavg, platform, totalmem } from 'node:os';
import { tableOf, type Measure } from '../measure.js';
import type { Growth } from './growth.js';
import type { ByRole } from './processes.js';
import type { Figures } from './windows.js';

/** Everything that a run has found. */
export interface Results {
  readonly machine: string;
  /** Which server of Temporal it was; absent where nobody needed one. */
  readonly temporal?: string;
  /** Whether the participants' books were read. */
  readonly hasBooks: boolean;
  readonly figures: readonly Figures[];
  readonly growth: readonly Growth[];
}

/** What the figures of each window are told by. */
export const TITLES: Readonly<Record<string, string>> = {
  one: 'one saga in flight',
  many: '32 sagas in flight',
  more: '64 sagas in flight',
  burst: 'a burst of 256',
  half: 'half of what 32 in flight reached, at a steady rate',
  faults: '5 % of the answers 503, 10 % refused; 32 in flight',
  'faults-half': 'the same faults, at half of the rate that it reached with them',
  kill: 'kill -9 with 64 in flight, restart at once',
};

type Column = readonly [title: string, value: (figures: Figures) => string];

const COLUMNS: readonly Column[] = [
  ['', ({ contestant }) => contestant],
  ['sagas', ({ sagas }) => String(sagas)],
  ['/s', ({ perSecond }) => short(perSecond)],
  ['accept p50', ({ accept }) => short(accept.p50)],
  ['p99', ({ accept }) => short(accept.p99)],
  ['settle p50', ({ settle }) => short(settle.p50)],
  ['p99', ({ settle }) => short(settle.p99)],
  ['CPU/saga', ({ cpu }) => short(totalOf(cpu))],
  ['app', ({ cpu }) => short(cpu.app)],
  ['ledger', ({ cpu }) => short(cpu.ledger)],
  ['Temporal', ({ cpu }) => short(cpu.server)],
  ['its store', ({ cpu }) => short(cpu.store)],
  ['(load)', ({ cpu }) => short(cpu.load)],
  ['others %', ({ others }) => others.toFixed(0)],
  ['MB app', ({ memory }) => short(memory.app)],
  ['ledger', ({ memory }) => short(memory.ledger)],
  ['Temporal', ({ memory }) => short(memory.server)],
  ['its store', ({ memory }) => short(memory.store)],
  ['WAL B', ({ walBytes }) => short(walBytes)],
  ['syncs', ({ walSyncs }) => short(walSyncs)],
  ['events', ({ events }) => short(events)],
  ['undos', ({ undos }) => some(undos)],
  ['again', ({ refusals }) => some(refusals)],
  ['ready', ({ readyMs }) => short(readyMs)],
  ['slowest', ({ slowestMs }) => short(slowestMs)],
  ['books', ({ faults }) => (faults.length === 0 ? '✓' : 'OFF')],
];

/** The machine, in a line, and how much else it had to do just now. */
export function describeMachine(): string {
  const [first] = cpus();
  const memory = Math.round(totalmem() / 2 ** 30);
  return `${cpus().length} cores (${first?.model ?? arch()}), ${memory} GB, ${platform()}, Node ${process.versions.node}; load average before: ${loadavg()[0]!.toFixed(1)}`;
}

/** CPU of all that works for a contestant: the load is not. */
export function totalOf({ load: _load, ...roles }: ByRole): number | undefined {
  const all = Object.values(roles);
  return all.length === 0 ? undefined : all.reduce((sum, each) => sum + each, 0);
}

/** The whole as text for people: times in ms, memory in MB. */
export function reportOf(results: Results, targets: readonly Measure[]): string {
  const { machine, temporal, hasBooks, figures, growth } = results;
  const windows = [...new Set(figures.map(({ window }) => window))];
  const tables = windows.map((window) => {
    const rows = figures.filter((each) => each.window === window);
    return `${TITLES[window] ?? window}\n${alignedOf(rows)}`;
  });
  const grown = growth.length === 0 ? [] : [growthOf(growth)];
  const notes = [
    machine,
    temporal ?? 'no Temporal',
    ...(hasBooks ? [] : ["the participants are not ours: their books could not be read, only the ledger's"]),
    'times in ms, memory in MB (peak); CPU in ms a saga, without the load; others: what else the machine did; settle: request to terminal state in the database',
  ];
  return [notes.join('\n'), ...tables, ...grown, ...(targets.length > 0 ? [`targets\n${tableOf(targets)}`] : [])].join(
    '\n\n',
  );
}

/** What is off, in sentences; no figure counts unless it is empty. */
export function faultsOf({ figures, growth }: Pick<Results, 'figures' | 'growth'>): readonly string[] {
  return [
    ...figures.flatMap(({ contestant, window, faults }) => faults.map((fault) => `${contestant}, ${window}: ${fault}`)),
    ...growth.flatMap(({ contestant, faults }) => faults.map((fault) => `${contestant}, growth: ${fault}`)),
  ];
}

function alignedOf(rows: readonly Figures[]): string {
  const columns = COLUMNS.filter(([, value]) => rows.some((row) => value(row) !== ''));
  const cells = [columns.map(([title]) => title), ...rows.map((row) => columns.map(([, value]) => value(row)))];
  return linesOf(cells);
}

function growthOf(growth: readonly Growth[]): string {
  const rows = growth.flatMap(({ contestant, few, many }) =>
    [few, many].map(({ settled, perSecond, cpu, settleP50 }) => [
      ...[contestant, settled.toLocaleString('en'), short(perSecond), short(cpu), short(settleP50)],
    ]),
  );
  return `beside settled sagas; 32 in flight\n${linesOf([['', 'settled', '/s', 'CPU/saga', 'settle p50'], ...rows])}`;
}

function linesOf(cells: readonly (readonly string[])[]): string {
  const widths = cells[0]!.map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!))).join('  ');
  return cells.map((row) => `  ${line(row)}`.trimEnd()).join('\n');
}

function some(count: number): string {
  return count === 0 ? '' : String(count);
}

function short(value: number | undefined): string {
  if (value === undefined || Number.isNaN(value)) return '';
  if (value >= 100) return value.toFixed(0);
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}
