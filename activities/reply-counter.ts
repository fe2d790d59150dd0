import type pg from 'pg';
import { addReplyCounts, type ReplyCount } from '../src/db/reply-counts.js';
import type { ReplyVerdict } from './known-answer.js';

/** What can be said of what comes to the reply address; only `taken` has changed anything. */
export type CountedVerdict =
  | ReplyVerdict
  /** Its token is not the one that went out with its effect and revision. */
  | 'forged'
  /** It is no answer of a participant. */
  | 'unreadable';

/** Counts answers for all workers together, as a worker may not be asked. */
export interface ReplyCounter {
  add(transport: string, verdict: CountedVerdict): void;
  /** Writes down what it has counted. */
  stop(): Promise<void>;
}

const WRITE_EVERY_MS = 1_000;

/** Makes the counter of one process. What cannot be written down yet is kept for the next time. */
export function createReplyCounter(pool: pg.Pool, everyMs = WRITE_EVERY_MS): ReplyCounter {
  const counted = new Map<string, ReplyCount>();
  const count = (transport: string, verdict: string, by: number): void => {
    const known = counted.get(`${transport} ${verdict}`)?.count ?? 0;
    counted.set(`${transport} ${verdict}`, { transport, verdict, count: known + by });
  };
  let writing = Promise.resolve();
  const write = async (): Promise<void> => {
    const batch = [...counted.values()];
    counted.clear();
    if (batch.length === 0) return;
    // the ledger's absence is told by everybody who needs it more
    await addReplyCounts(pool, batch).catch(() => {
      for (const { transport, verdict, count: by } of batch) count(transport, verdict, by);
    });
  };
  const next = (): Promise<void> => (writing = writing.then(write));
  const timer = setInterval(() => void next(), everyMs);
  return {
    add: (transport, verdict) => count(transport, verdict, 1),
    stop: () => {
      clearInterval(timer);
      return next();
    },
  };
}
