import { createTurns, type Turns } from './turns.js';

/** Which of a worker's slots an attempt holds: a workflow task's while it is a local activity, an activity's later. */
export type Path = 'fast' | 'durable';

/**
 * How many attempts of one participant may be under way for one more to begin. A worker has 32 slots for workflow tasks, in which
 * healthy sagas run, and 100 for activities.
 */
const MOST: Readonly<Record<Path, number>> = { fast: 24, durable: 50 };
/** The same on the fast path for a participant that is slow. */
const MOST_SLOW = 8;
/** Answers that take longer than this make a participant slow, in ms: 32 slots then no longer do the 60 sagas a second that two cores can. */
const SLOW_MS = 500;
/** What the last answer weighs in the average: some twenty fast ones and a slow participant is fast again. */
const WEIGHT = 0.1;

/** How much of a worker each participant may hold, so that a slow one does not slow sagas that do not use it. */
export interface Bulkheads {
  /** Takes a place. Answers in how many ms to ask again when there is none. */
  enter(participant: string, path: Path): Place | number;
}

/** Of an attempt under way. */
export interface Place {
  /** Gives it back; doing so twice is doing so once. @param answeredInMs how long its answer took, if it has come */
  leave(answeredInMs?: number): void;
}

/**
 * Makes the bulkheads of one worker.
 *
 * @param now ms on a clock that only goes forward
 */
export function createBulkheads(now: () => number = () => performance.now()): Bulkheads {
  const known = new Map<string, { readonly turns: Turns; underWay: number; averageMs: number }>();
  return {
    enter: (participant, path) => {
      const bulkhead = known.get(participant) ?? { turns: createTurns(now), underWay: 0, averageMs: 0 };
      known.set(participant, bulkhead);
      const isSlow = bulkhead.averageMs > SLOW_MS;
      if (bulkhead.underWay >= (path === 'fast' && isSlow ? MOST_SLOW : MOST[path])) return bulkhead.turns.next();
      bulkhead.underWay += 1;
      let isLeft = false;
      return {
        leave: (answeredInMs) => {
          if (isLeft) return;
          isLeft = true;
          bulkhead.underWay -= 1;
          if (answeredInMs !== undefined) bulkhead.averageMs += WEIGHT * (answeredInMs - bulkhead.averageMs);
        },
      };
    },
  };
}
