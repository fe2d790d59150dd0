import type { SagaView, StepView } from '../api/schemas.js';

/** One action of a saga, with times in ms since the saga was accepted. */
interface Row {
  readonly at: number;
  readonly cells: readonly string[];
}

const HEADINGS = ['at', 'took', 'step', 'action', 'outcome', 'attempts', 'note'] as const;

/**
 * A saga as lines for a terminal: what was done and undone, in the order in which it began, then what never was.
 *
 * @example timelineOf(saga).forEach(print)
 */
export function timelineOf(saga: SagaView): readonly string[] {
  const start = Date.parse(saga.acceptedAt);
  const rows = saga.steps.flatMap((step) => rowsOf(step, start)).sort((a, b) => a.at - b.at);
  const table = [HEADINGS, ...rows.map(({ cells }) => cells)];
  const widths = HEADINGS.map((_, column) => Math.max(...table.map((cells) => (cells[column] ?? '').length)));
  const took = saga.finishedAt === null ? '' : ` in ${Date.parse(saga.finishedAt) - start} ms`;
  const reason = saga.parkReason ?? saga.reason;
  return [
    `${saga.sagaId}  ${saga.state}${took}${reason ? `  (${reason.code}: ${reason.message})` : ''}`,
    ...table.map((cells) =>
      `  ${cells.map((cell, column) => pad(cell, widths[column] ?? 0, column)).join('  ')}`.trimEnd(),
    ),
  ];
}

function rowsOf(step: StepView, start: number): Row[] {
  const isUndone = step.status === 'undone' || step.status === 'undoing';
  const forward = rowOf(start, {
    ...step,
    step: step.name,
    // what became of it later is the undo's row
    outcome: isUndone ? 'done' : step.status,
  });
  if (!step.undo || step.undo.startedAt === null) return [forward];
  return [forward, rowOf(start, { ...step.undo, step: step.name, outcome: step.status })];
}

type Action = Pick<StepView, 'startedAt' | 'finishedAt' | 'action' | 'attempts' | 'lastError'> & {
  readonly step: string;
  readonly outcome: string;
};

function rowOf(start: number, { startedAt, finishedAt, step, action, outcome, attempts, lastError }: Action): Row {
  const at = startedAt === null ? Infinity : Date.parse(startedAt) - start;
  const took = startedAt === null || finishedAt === null ? '' : `${Date.parse(finishedAt) - Date.parse(startedAt)} ms`;
  const begun = at === Infinity ? '' : `+${at} ms`;
  return { at, cells: [begun, took, step, action, outcome, String(attempts), lastError ?? ''] };
}

/** Numbers stand right, words left. */
function pad(cell: string, width: number, column: number): string {
  const isNumber = column < 2 || HEADINGS[column] === 'attempts';
  return isNumber ? cell.padStart(width) : cell.padEnd(width);
}
