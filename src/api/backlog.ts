import { setTimeout as pause } from 'node:timers/promises';
import type { WaitingCount } from '../db/saga-scan.js';
import type { Place } from '../saga/lane.js';
import type { Ledger } from './ledger.js';
import { ProblemError } from './problems.js';

/** How old the count may be: under load it costs a few queries a second, whatever the load. */
const SAMPLE_MS = 250;
/** A count no older than this serves while the next is taken: a ledger that is slow is one more reason to say no at once. */
const STALE_MS = 2_000;
/** Of refused requests, so many at a time are looked up; the others are refused unseen, as the look costs what they must not. */
const MOST_LOOKS = 16;
/** How long one that is refused waits for that look, in ms: a no that comes late is another weight on its client. */
const LOOK_MS = 50;
/** What would wait longer than this, in ms, is better refused: its client has gone by the time that it runs. */
const LONGEST_WAIT_MS = 10_000;
/** So many may wait whatever the pace, as bursts come. */
const LEAST = 256;
/** Where nothing is started for so long, in ms, Temporal or the workers are away: that is no overload, and may last. */
const STANDSTILL_MS = 3_000;
/** A line that is longer than this is passed in seconds, in which the scan would ask Temporal in vain for each that stands in it. */
const LONG_LINE = 64;
/** What the last quarter of a second weighs in the pace. */
const WEIGHT = 0.1;

/** Bounds how many accepted sagas may wait for their workflows. */
export interface Backlog {
  /**
   * Lets a request in while there is room, and a repeated one as long as there is time to look whether it is: it adds nothing.
   *
   * @param place what it finds in the express lane: what goes straight through is stopped by those only that the lane has given up
   * @throws ProblemError `backlog-full`
   */
  admit(request: { tenantId: string; idempotencyKey: string }, place: Place | undefined): Promise<void>;
  /** Whether it was full when it last looked; where that is not just now, it looks again meanwhile. */
  isFull(place: Place | undefined): boolean;
  /** For how long the scan should not miss what is accepted now, in ms, as it stands in a long line that moves. */
  startGraceMs(): number | undefined;
}

/** Tells a client when to come again, in s. */
export function backlogFull(detail: string, afterS: number): ProblemError {
  return new ProblemError('backlog-full', detail, { headers: { 'retry-after': String(afterS) } });
}

/** What a client is told that finds no place in line. */
export function lineFull(detail: string): ProblemError {
  return backlogFull(detail, 5);
}

/** What a client is told that finds no place in the express lane. */
export function laneFull(): ProblemError {
  return backlogFull('the express lane is full', 1);
}

/** How many wait, and how many may. */
interface Look extends WaitingCount {
  readonly paced: number;
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
  const look = createSampler(now, async () => {
    const [count, paced] = await Promise.all([ledger.countWaiting(limit), findPaceLimit()]);
    return { ...count, paced };
  });
  const problemOf = ({ waiting, handedOver, paced }: Look, place: Place | undefined): string | undefined => {
    const isFull = place === 'free' ? handedOver >= paced || waiting >= limit : waiting >= paced;
    return isFull ? `${paced} or more sagas wait to be started` : undefined;
  };
  let looks = 0;
  const isRepeated: BacklogLedger['isKeyKnown'] = async (request) => {
    if (looks >= MOST_LOOKS) return false;
    looks += 1;
    const looking = ledger.isKeyKnown(request).finally(() => (looks -= 1));
    // whoever no longer waits for it must not be ended by it
    looking.catch(() => undefined);
    return Promise.race([looking, pause(LOOK_MS, false)]);
  };
  return {
    admit: async (request, place) => {
      const problem = place === 'full' ? undefined : problemOf(await look(), place);
      if (place !== 'full' && problem === undefined) return;
      if (await isRepeated(request)) return;
      throw problem === undefined ? laneFull() : lineFull(problem);
    },
    isFull: (place) => {
      const last = look.last();
      return last !== undefined && problemOf(last, place) !== undefined;
    },
    startGraceMs: () => {
      const last = look.last();
      return last && last.paced < limit && last.waiting > LONG_LINE ? 1.5 * LONGEST_WAIT_MS : undefined;
    },
  };
}

interface Sampler<T> {
  (): Promise<T>;
  /** What is known at once: the last sample that is not too old, while a new one is taken where it is due. */
  last(): T | undefined;
}

/** Takes a sample now and then, and waits for it only where the one before is too old. */
function createSampler<T>(now: () => number, take: () => Promise<T>): Sampler<T> {
  let last: { readonly value: T; readonly atMs: number } | undefined;
  let underWay: Promise<T> | undefined;
  const refresh = (): Promise<T> =>
    (underWay ??= take()
      .then((value) => {
        last = { value, atMs: now() };
        return value;
      })
      .finally(() => (underWay = undefined)));
  const serve = (): T | undefined => {
    const ageMs = last ? now() - last.atMs : Infinity;
    // whoever comes when it is too old hears of a ledger that does not answer
    if (ageMs >= SAMPLE_MS && ageMs <= STALE_MS) refresh().catch(() => undefined);
    return ageMs <= STALE_MS ? last?.value : undefined;
  };
  return Object.assign(async () => serve() ?? refresh(), { last: serve });
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
