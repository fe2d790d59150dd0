import type { Ledger } from './ledger.js';
import { ProblemError } from './problems.js';

/** How old the count may be: under load it costs a few queries a second, whatever the load. */
const SAMPLE_MS = 250;
/** What would wait longer than this, in ms, is better refused: its client has gone by the time that it runs. */
const LONGEST_WAIT_MS = 10_000;
/** So many may wait whatever the pace, as bursts come. */
const LEAST = 256;
/** Where nothing is started for so long, in ms, Temporal or the workers are away: that is no overload, and may last. */
const STANDSTILL_MS = 10_000;
/** What the last quarter of a second weighs in the pace. */
const WEIGHT = 0.1;

/** Bounds how many accepted sagas may wait for their workflows. */
export interface Backlog {
  /**
   * Lets a request in while there is room, and a repeated one always: it adds nothing.
   *
   * @throws ProblemError `backlog-full`
   */
  admit(request: { tenantId: string; idempotencyKey: string }, isLaneFull?: boolean): Promise<void>;
}

type BacklogLedger = Pick<Ledger, 'countWaiting' | 'lookAtWaiting' | 'isKeyKnown'>;

/**
 * The backlog of one process: it is full when `limit` sagas wait, give or take what a quarter of a second brings. Sooner while
 * sagas are being started: then no more are let in than ten seconds' worth, at the pace at which they are, by whichever process.
 * What is refused in time costs next to nothing; what is accepted takes the time of those that run, and keeps its client waiting.
 *
 * @param now ms on a clock that only goes forward
 */
export function createBacklog(
  ledger: BacklogLedger,
  limit: number,
  now: () => number = () => performance.now(),
): Backlog {
  const findPaceLimit = createPace(ledger, { limit, now });
  let sample: Promise<string | undefined> | undefined;
  const findProblem = (): Promise<string | undefined> => {
    if (sample) return sample;
    const taken = Promise.all([ledger.countWaiting(limit), findPaceLimit()]).then(([count, paced]) =>
      count >= paced ? `${paced} or more sagas wait to be started` : undefined,
    );
    sample = taken;
    const forget = (): void => void (sample = undefined);
    taken.then(() => setTimeout(forget, SAMPLE_MS).unref(), forget);
    return taken;
  };
  return {
    admit: async (request, isLaneFull = false) => {
      const problem = isLaneFull ? 'the express lane is full' : await findProblem();
      if (problem === undefined || (await ledger.isKeyKnown(request))) return;
      throw new ProblemError('backlog-full', problem, { headers: { 'retry-after': isLaneFull ? '1' : '5' } });
    },
  };
}

/** How many may wait, by the pace at which they are started. */
function createPace(
  ledger: BacklogLedger,
  { limit, now }: { readonly limit: number; readonly now: () => number },
): () => Promise<number> {
  let last = { atMs: 0, waiting: 0 };
  let perMs = 0;
  let movedAt = -Infinity;
  return async () => {
    const seen = await ledger.lookAtWaiting(last.atMs, limit);
    const started = Math.max(0, last.waiting - seen.left);
    if (last.waiting > 0) perMs += WEIGHT * (started / Math.max(1, seen.atMs - last.atMs) - perMs);
    if (started > 0 || last.waiting === 0) movedAt = now();
    last = seen;
    return now() - movedAt > STANDSTILL_MS
      ? limit
      : Math.min(limit, Math.max(LEAST, Math.round(perMs * LONGEST_WAIT_MS)));
  };
}
