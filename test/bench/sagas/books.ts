import type { End } from './contestant.js';
import type { Sent } from './generator.js';
import type { Effects, OrderEffects, ParticipantBooks } from './participants.js';

/** What the books of a window say. */
export interface Verdict {
  readonly completed: number;
  readonly compensated: number;
  /** Effects that were taken back. */
  readonly undos: number;
  /** Messages that were sent again after their answer was final. */
  readonly duplicates: number;
  /** What is off, in sentences; no figure counts unless it is empty. */
  readonly faults: readonly string[];
}

export interface Evidence {
  readonly sent: readonly Sent[];
  readonly ends: ReadonlyMap<string, End>;
  /** Rows that have not settled, in the contestant's own database. */
  readonly open: number;
  /** Absent where the participants are not ours. */
  readonly books?: ParticipantBooks;
}

/** Compares what was accepted, how it ended and what the participants did: nothing lost, doubled or left. */
export function judge({ sent, ends, open, books }: Evidence): Verdict {
  const faults: string[] = [];
  const states = sent.map(({ orderId }) => ends.get(orderId)?.state ?? 'open');
  const ofState = (state: string): number => states.filter((each) => each === state).length;
  const [completed, compensated] = [ofState('completed'), ofState('compensated')];
  const unsettled = sent.length - completed - compensated;
  if (unsettled > 0) faults.push(`${unsettled} of ${sent.length} accepted orders have not settled`);
  if (open > 0) faults.push(`${open} orders are open in the database`);
  const effects = books && judgeEffects(sent, states, books);
  return {
    completed,
    compensated,
    undos: effects?.undos ?? 0,
    duplicates: books?.duplicates ?? 0,
    faults: [...faults, ...(effects?.faults ?? [])],
  };
}

function judgeEffects(
  sent: readonly Sent[],
  states: readonly string[],
  { orders }: ParticipantBooks,
): { readonly undos: number; readonly faults: readonly string[] } {
  const known = new Map(sent.map(({ orderId }, index) => [orderId, states[index]!]));
  const strangers = Object.keys(orders).filter((orderId) => !known.has(orderId));
  const wrong = [...known].filter(([orderId, state]) => !fits(state, orders[orderId]));
  const all = Object.values(orders).flatMap(({ stock, payment }) => [stock, payment]);
  return {
    undos: all.reduce((sum, { undone }) => sum + undone, 0),
    faults: [
      ...(strangers.length > 0 ? [`${strangers.length} orders had effects, but nobody was told of them`] : []),
      ...(wrong.length > 0
        ? [`${wrong.length} orders have effects that do not fit, e.g. ${example(wrong[0]!, orders)}`]
        : []),
    ],
  };
}

/** Completed: one effect at each participant. Compensated: none, or as many undos. What has not settled is a fault of its own. */
function fits(state: string, effects: OrderEffects | undefined): boolean {
  const each: readonly (Effects | undefined)[] = [effects?.stock, effects?.payment];
  if (state === 'completed') return each.every((one) => one?.applied === 1 && one.undone === 0);
  if (state === 'compensated')
    return each.every((one) => one === undefined || (one.applied === one.undone && one.applied <= 1));
  return true;
}

function example([orderId, state]: readonly [string, string], orders: ParticipantBooks['orders']): string {
  return `'${orderId}', which is ${state}: ${JSON.stringify(orders[orderId] ?? null)}`;
}
