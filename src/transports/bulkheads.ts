import { createTurns, type Turns } from './turns.js';

/** Which of a worker's slots an attempt holds: a workflow task's while it is a local activity, an activity's later. */
export type Path = 'fast' | 'durable';

/**
 * How many attempts of one participant may be under way for one more to begin. A worker has 64 slots for workflow tasks, in which
 * healthy sagas run, and 100 for activities.
 */
const MOST: Readonly<Record<Path, number>> = { fast: 24, durable: 50 };
/** The same on the fast path for a participant that is slow. */
const MOST_SLOW = 8;
/** Answers that take longer than this make a participant slow, in ms: its sagas would soon hold half of the slots that others need. */
const SLOW_MS = 500;
/** What the last answer weighs in the average: some twenty fast ones and a slow participant is fast again. */
const WEIGHT = 0.1;

/** While places are full and answers this close, in ms, a place is free before long. */
const FLOW_MS = 500;

/** How much of a worker each participant may hold, so that a slow one does not slow sagas that do not use it. */
export interface Bulkheads {
  /** Takes a place, if there is one. */
  enter(participant: string, path: Path): Place | Full;
}

/** Says that there is no place. */
export interface Full {
  /** When to ask again. */
  readonly retryAfterMs: number;
  /** Whether answers are coming in, so that there may be a place in a moment. */
  readonly isBrief: boolean;
}

/** Of an attempt under way. */
export interface Place {
  /** Gives it back; doing so twice is doing so once. @param answeredInMs how long its answer took, if it has come */
  leave(answeredInMs?: number): void;
}

interface Bulkhead {
  readonly turns: Turns;
  underWay: number;
  averageMs: number;
  answeredAt: number;
}

/**
 * Makes the bulkheads of one worker.
 *
 * @param now ms on a clock that only goes forward
 */
export function createBulkheads(now: () => number = () => performance.now()): Bulkheads {
  const known = new Map<string, Bulkhead>();
  return {
    enter: (participant, path) => {
      const bulkhead = known.get(participant) ?? {
        turns: createTurns(now),
        underWay: 0,
        averageMs: 0,
        answeredAt: -Infinity,
      };
      known.set(participant, bulkhead);
      const isSlow = bulkhead.averageMs > SLOW_MS;
      if (bulkhead.underWay >= (path === 'fast' && isSlow ? MOST_SLOW : MOST[path]))
        return { retryAfterMs: bulkhead.turns.next(), isBrief: !isSlow && now() - bulkhead.answeredAt < FLOW_MS };
      bulkhead.underWay += 1;
      let isLeft = false;
      return {
        leave: (answeredInMs) => {
          if (isLeft) return;
          isLeft = true;
          bulkhead.underWay -= 1;
          if (answeredInMs === undefined) return;
          bulkhead.answeredAt = now();
          bulkhead.averageMs += WEIGHT * (answeredInMs - bulkhead.averageMs);
        },
      };
    },
  };
}
