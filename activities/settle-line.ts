import type { ExpressEnd } from '../src/db/express.js';

/** Settles sagas that are done. */
export interface SettleLine {
  /** Resolves with whether the saga has completed; rejects when the ledger did not answer, and it may have. */
  settle(end: ExpressEnd): Promise<boolean>;
}

interface Waiting {
  readonly end: ExpressEnd;
  readonly resolve: (hasCompleted: boolean) => void;
  readonly reject: (error: unknown) => void;
}

/** A statement of this many costs some 10 ms; longer ones would hold up the first of them. */
const MOST_TOGETHER = 64;

/**
 * One transaction at a time: a saga that comes alone is settled at once, those that come while one is under way go together in the next.
 *
 * @param settleAll settles all of them, and returns the ids of those that have completed
 */
export function createSettleLine(settleAll: (ends: readonly ExpressEnd[]) => Promise<ReadonlySet<string>>): SettleLine {
  const waiting: Waiting[] = [];
  let isUnderWay = false;
  const work = async (): Promise<void> => {
    isUnderWay = true;
    while (waiting.length > 0) {
      const batch = waiting.splice(0, MOST_TOGETHER);
      try {
        const completed = await settleAll(batch.map(({ end }) => end));
        for (const { end, resolve } of batch) resolve(completed.has(end.sagaId));
      } catch (error) {
        for (const { reject } of batch) reject(error);
      }
    }
    isUnderWay = false;
  };
  return {
    settle: (end) =>
      new Promise((resolve, reject) => {
        waiting.push({ end, resolve, reject });
        if (!isUnderWay) void work();
      }),
  };
}
