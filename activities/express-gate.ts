/** Why a saga does not enter the express lane: too many of its type are in it, or the last ones had to leave it. */
export type Closed = 'full' | 'resting';

/** How a saga has left the lane. */
export type Left = 'well' | 'troubled' | 'neither';

/** Lets the sagas of one type into the express lane, as long as that pays. */
export interface Gate {
  /** Why it would let nobody in just now; it remembers when somebody found it full. */
  closed(): Closed | undefined;
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
/** Those that are inside for so much longer, in ms, than the fastest of late that went well wait for each other: they are too many. */
const SLOW_MS = 400;
/** However slow the participants are: soon attempts and leases end before those inside do. */
const TOO_SLOW_MS = 1_000;
/** How long the fastest is remembered, in ms: for that time, and up to twice as long. */
const REMEMBER_MS = 10_000;
/** By how much fewer are let in then, once in this time, in ms; one more for each that is fast and goes well. */
const SHRINK = 0.7;
const SHRINK_EVERY_MS = 250;
/** So many in a row, with none between them that goes well, are no accident: each costs both lanes. */
const MOST_TROUBLED = 5;
/** Of those in a row so many are not counted, as long as they are slow and more than the least are let in: they may be too many. */
const MOST_EXCUSED = 128;
/** While it rests one saga in this time tries whether all is well again. */
const PROBE_MS = 1_000;
/**
 * A rest that slow ones bring while more come than it lets in is taken for one from overload, for so long, in ms: the other lane can
 * do a fraction of what this one can, and would take what those inside need to get well. Participants that hang look the same:
 * once none of those that try goes well, the other lane takes over when the time is up.
 */
const OVERLOAD_MS = 5_000;

/**
 * A gate of one saga type.
 * ```
 * open ──5 in a row had trouble──▶ resting: one a second is let in ──one goes well──▶ open
 * ```
 * For all but that one it is full in the first seconds of a rest that overload has brought.
 * While it is open it lets in as many as get through without waiting for each other for long, found out by trying: one more for each
 * that is fast, a share fewer when one is slow. That too many are inside says nothing of the participants, so that trouble that comes
 * late makes it let in fewer first.
 *
 * @param now ms on a clock that only goes forward
 */
export function createGate(now: () => number = () => performance.now()): Gate {
  let inside = 0;
  let most = FIRST_AT_ONCE;
  let shrunkAt = -Infinity;
  let [troubled, excused] = [0, 0];
  let [probeAt, fullUntil] = [0, 0];
  let foundFullAt = -Infinity;
  const fastest = createFastest(now);
  const isTroubled = (): boolean => troubled >= MOST_TROUBLED;
  const closed = (): Closed | undefined => {
    if (inside >= most) {
      foundFullAt = now();
      return 'full';
    }
    if (!isTroubled() || now() >= probeAt) return undefined;
    return now() < fullUntil ? 'full' : 'resting';
  };
  const grow = (): void => {
    // that a few are fast says nothing of how fast many would be
    if (most < FIRST_AT_ONCE || 2 * inside >= most) most = Math.min(MOST_AT_ONCE, most + 1);
  };
  const shrink = (): void => {
    if (now() - shrunkAt <= SHRINK_EVERY_MS) return;
    shrunkAt = now();
    most = Math.max(LEAST_AT_ONCE, Math.min(most, inside) * SHRINK);
  };
  const noteTrouble = (isSlow: boolean): void => {
    if (isSlow && most > LEAST_AT_ONCE && excused < MOST_EXCUSED) {
      excused += 1;
      return;
    }
    troubled += 1;
    if (troubled !== MOST_TROUBLED) return;
    probeAt = now() + PROBE_MS;
    const isOverload = isSlow && now() - foundFullAt < PROBE_MS;
    fullUntil = isOverload ? now() + OVERLOAD_MS : 0;
  };
  return {
    closed,
    enter: () => {
      const why = closed();
      if (why) return why;
      if (isTroubled()) probeAt = now() + PROBE_MS;
      inside += 1;
      return undefined;
    },
    leave: (end, insideMs) => {
      const isSlow = insideMs > Math.min(TOO_SLOW_MS, SLOW_MS + fastest.ms());
      if (end === 'troubled') noteTrouble(isSlow);
      if (end === 'well') {
        [troubled, excused] = [0, 0];
        fastest.note(insideMs);
      }
      // one that is refused, or repeated, is fast whatever the others wait for
      if (isSlow) shrink();
      else if (end === 'well') grow();
      inside -= 1;
    },
  };
}

/** The least of the values of late. */
function createFastest(now: () => number): { readonly ms: () => number; readonly note: (ms: number) => void } {
  let [before, current] = [Infinity, Infinity];
  let since = now();
  const forget = (): void => {
    const times = Math.floor((now() - since) / REMEMBER_MS);
    if (times === 0) return;
    [before, current] = [times === 1 ? current : Infinity, Infinity];
    since += times * REMEMBER_MS;
  };
  return {
    ms: () => {
      forget();
      return Math.min(before, current);
    },
    note: (ms) => {
      forget();
      current = Math.min(current, ms);
    },
  };
}
