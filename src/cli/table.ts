import { styleText } from 'node:util';

/** Lines of columns, each as wide as its widest cell. */
export function tableOf(headings: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const all = [headings, ...rows];
  const widths = headings.map((_, column) => Math.max(...all.map((cells) => (cells[column] ?? '').length)));
  return all.map((cells) =>
    widths
      .map((width, column) => (cells[column] ?? '').padEnd(width))
      .join('  ')
      .trimEnd(),
  );
}

const COLOURS = {
  completed: 'green',
  compensated: 'yellow',
  parked: 'red',
  compensating: 'yellow',
  dim: 'dim',
} as const;

/** Colours the words that say how a saga stands. */
export function coloured(line: string): string {
  return line.replace(/\b(completed|compensated|parked|compensating)\b/, (word) =>
    styleText(COLOURS[word as keyof typeof COLOURS], word),
  );
}
