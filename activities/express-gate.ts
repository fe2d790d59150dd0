/** Why a saga does not enter the express lane: too many of its type are in it, or the last ones had to leave it. */
export type Closed = 'full' | 'resting';

/** How a saga has left the lane. */
export type Left = 'well' | 'troubled' | 'neither';

/** Lets the sagas of one type into the express lane, as long as that pays. */
export interface Gate {
  /** Whether so many are inside that it lets nobody in. */
  isFull(): boolean;
  /** Takes a place, unless it is closed. */
  enter(): Closed | undefined;
  /** Gives the place back. @param insideMs how long it was taken */
  leave(end: Left, insideMs: number): void;
}

/** Bounds the memory of one type, and how much of the lane a slow participant can fill. */
const MOST_AT_ONCE = 512;
/** Some are always let in, so that there is something to measure. */
const LEAST_AT_ONCE = 32;
/** What a slow process gets through before the leases of those inside end. */
const FIRST_AT_ONCE = 64;
/** Those that are inside for so much longer, in ms, than the fastest were of late wait for each other: there are too many of them. */
const SLOW_MS = 400;
/** However slow the participants are: soon attempts and leases end before those inside do. */
const TOO_SLOW_MS = 1_000;
/** How long the fastest is remembered, in ms: for that time, and up to twice as long. */
const REMEMBER_MS = 30_000;
/** By how much fewer are let in then, once in this time, in ms; one more for each that is fast. */
const SHRINK = 0.7;
const SHRINK_EVERY_MS = 250;
/** So many in a row are no accident: each costs both lanes. */
const MOST_TROUBLED = 5;
/** While it rests one saga in this time tries whether all is well again. */
const PROBE_MS = 1_000;

/**
 * A gate of one saga type.
 * ```
 * open ──5 in a row had trouble──▶ resting: one a second is let in ──one goes well──▶ open
 * ```
 * While it is open it lets in as many as get through without waiting for each other for long, found out by trying: one more for each
 * that is fast, a share fewer when one is slow (additive increase, multiplicative decrease, as TCP does it: RFC 5681). That many were
 * too many says nothing of the participants: those that were slow and had trouble count as such when few are let in.
 *
 * @param now ms on a clock that only goes forward
 */
export function createGate(now: () => number = () => performance.now()): Gate {
  let inside = 0;
  let most = FIRST_AT_ONCE;
  let shrunkAt = -Infinity;
  let troubled = 0;
  let probeAt = 0;
  const findFastest = createFastest(now);
  const isFull = (): boolean => inside >= most;
  const adapt = (isSlow: boolean): void => {
    // that a few are fast says nothing of how fast many would be
    if (!isSlow) most = Math.min(MOST_AT_ONCE, most < FIRST_AT_ONCE || 2 * inside >= most ? most + 1 : most);
    else if (now() - shrunkAt > SHRINK_EVERY_MS) {
      shrunkAt = now();
      most = Math.max(LEAST_AT_ONCE, Math.min(most, inside) * SHRINK);
    }
  };
  return {
    isFull,
    enter: () => {
      if (isFull()) return 'full';
      if (troubled >= MOST_TROUBLED) {
        if (now() < probeAt) return 'resting';
        probeAt = now() + PROBE_MS;
      }
      inside += 1;
      return undefined;
    },
    leave: (end, insideMs) => {
      const isSlow = insideMs > Math.min(TOO_SLOW_MS, SLOW_MS + findFastest(insideMs));
      const isTroubled = end === 'troubled' && !(isSlow && most > LEAST_AT_ONCE);
      adapt(isSlow);
      inside -= 1;
      if (end === 'well') troubled = 0;
      if (isTroubled) troubled += 1;
      if (isTroubled && troubled === MOST_TROUBLED) probeAt = now() + PROBE_MS;
    },
  };
}

/** Finds the least of the values of late, with the one that it is told. */
function createFastest(now: () => number): (ms: number) => number {
  let [before, current] = [Infinity, Infinity];
  let since = now();
  return (ms) => {
    const age = now() - since;
    if (age > REMEMBER_MS) {
      [before, current] = [age > 2 * REMEMBER_MS ? Infinity : current, Infinity];
      since = now();
    }
    current = Math.min(current, ms);
    return Math.min(before, current);
  };
}
