/** What a benchmark may ask of its command line. */
export interface BenchOptions {
  /** The number behind `--<option>`. */
  number(option: string, otherwise: number): number;
  has(option: string): boolean;
  /** What else stands there, e.g. the names of transports. */
  readonly words: readonly string[];
  /** Says what is going on, apart from the result. */
  progress(text: string): void;
}

/** One figure. */
export interface Measure {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  /** What it should be: at least or at most. */
  readonly target?: { readonly atLeast: number } | { readonly atMost: number };
}

/** The figures as a table for people. */
export function tableOf(measures: readonly Measure[]): string {
  const rows = measures.map((measure) => [
    measure.name,
    `${round(measure.value)} ${measure.unit}`.trim(),
    targetOf(measure),
  ]);
  const all = [['measure', 'value', 'target'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]!.length)));
  return all
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

/** The value below which a part of the sorted values lies. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? NaN;
}

function targetOf({ value, target }: Measure): string {
  if (!target) return '';
  if ('atLeast' in target) return `≥ ${target.atLeast} ${value >= target.atLeast ? '✓' : '✗'}`;
  return `≤ ${target.atMost} ${value <= target.atMost ? '✓' : '✗'}`;
}

function round(value: number): string {
  return value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString('en') : value.toPrecision(3);
}
