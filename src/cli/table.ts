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
  done: 'green',
  delivered: 'green',
  refused: 'red',
  skipped: 'yellow',
} as const;

/** Prints lines, the first of them headings, with colours where they are wanted. */
export function printTable(
  { print, hasColours }: { readonly print: (text: string) => void; readonly hasColours: boolean },
  lines: readonly string[],
): void {
  print(lines.map((line) => (hasColours ? coloured(line) : line)).join('\n'));
}

/** Colours the words that say how a saga or a repair stands. */
function coloured(line: string): string {
  return line.replace(new RegExp(`\\b(${Object.keys(COLOURS).join('|')})\\b`), (word) =>
    // the caller knows whether there is a terminal
    styleText(COLOURS[word as keyof typeof COLOURS], word, { validateStream: false }),
  );
}
