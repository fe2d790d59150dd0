import { TITLES, totalOf, type Results } from './report.js';

interface Bar {
  readonly label: string;
  readonly value: number;
}

const WIDTH = 640;
const ROW = 26;
const LABEL = 150;
const FULL = 400;
/** Readable on white and on black alike. */
const [INK, FILL, OURS] = ['#808890', '#9aa4ae', '#2f81f7'] as const;

/**
 * Throughput and CPU a saga as bars: those with 32 sagas in flight, or of the first window that ran.
 *
 * @returns an SVG document
 */
export function chartOf({ machine, temporal, figures }: Results): string {
  const window = figures.some((each) => each.window === 'many') ? 'many' : figures[0]?.window;
  const rows = figures.filter((each) => each.window === window && each.faults.length === 0);
  const charts = [
    {
      title: `settled sagas a second; ${TITLES[window ?? ''] ?? ''}`,
      bars: barsOf(rows, ({ perSecond }) => perSecond),
    },
    { title: 'CPU ms a saga, all processes but the load', bars: barsOf(rows, ({ cpu }) => totalOf(cpu) ?? 0) },
  ];
  const height = 60 + charts.length * (40 + rows.length * ROW);
  const parts: string[] = [];
  let top = 8;
  for (const { title, bars } of charts) {
    parts.push(text(0, top + 16, { content: title, weight: 'bold' }), ...rowsOf(bars, top + 28));
    top += 40 + bars.length * ROW;
  }
  parts.push(
    text(0, top + 16, { content: machine, size: 11 }),
    text(0, top + 32, { content: temporal ?? '', size: 11 }),
  );
  const font = 'font-family="system-ui, sans-serif"';
  const size = `width="${WIDTH}" height="${height}" viewBox="0 0 ${WIDTH} ${height}"`;
  return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n${parts.join('\n')}\n</svg>\n`;
}

function barsOf(rows: Results['figures'], value: (figures: Results['figures'][number]) => number): readonly Bar[] {
  return rows.map((row) => ({ label: NAMES[row.contestant] ?? row.contestant, value: value(row) }));
}

const NAMES: Readonly<Record<string, string>> = {
  plain: 'plain, nothing durable',
  temporal: 'obvious Temporal',
  workflow: 'Settle, workflow lane',
  express: 'Settle, express lane',
};

function rowsOf(bars: readonly Bar[], top: number): readonly string[] {
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE);
  return bars.flatMap(({ label, value }, index) => {
    const y = top + index * ROW;
    const width = Math.max(1, (value / most) * FULL);
    const fill = label.startsWith('Settle') ? OURS : FILL;
    return [
      text(0, y + 14, { content: label }),
      `<rect x="${LABEL}" y="${y}" width="${width.toFixed(1)}" height="18" rx="2" fill="${fill}"/>`,
      text(LABEL + width + 6, y + 14, { content: value >= 10 ? value.toFixed(0) : value.toFixed(1) }),
    ];
  });
}

interface Text {
  readonly content: string;
  /** @default 13 */
  readonly size?: number;
  readonly weight?: 'bold';
}

function text(x: number, y: number, { content, size = 13, weight }: Text): string {
  const bold = weight === undefined ? '' : ` font-weight="${weight}"`;
  const safe = content.replace(/[&<>"]/g, (sign) => `&#${sign.charCodeAt(0)};`);
  return `<text x="${x.toFixed(1)}" y="${y}" font-size="${size}" fill="${INK}"${bold}>${safe}</text>`;
}
