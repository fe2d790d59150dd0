/** Why a saga does not enter the express lane: too many of its type are in it, or the last ones had to leave it. */
export type Closed = 'full' | 'resting';

/** Lets the sagas of one type into the express lane, as long as that pays. */
export interface Gate {
  /** Takes a place, unless it is closed. */
  enter(): Closed | undefined;
  /** Whether so many are inside that it lets nobody in. */
  isFull(): boolean;
  /** Gives the place back. */
  leave(end: 'well' | 'troubled' | 'neither'): void;
}

/** Bounds the memory of one type, and how much of the lane a slow participant can fill. */
const MOST_AT_ONCE = 512;
/** So many in a row are no accident: each costs both lanes. */
const MOST_TROUBLED = 5;
/** While it rests one saga in this time tries whether all is well again. */
const PROBE_MS = 1_000;

/**
 * A gate of one saga type.
 * ```
 * open ──5 in a row had trouble──▶ resting: one a second is let in ──one goes well──▶ open
 * ```
 *
 * @param now ms on a clock that only goes forward
 */
export function createGate(now: () => number = () => performance.now()): Gate {
  let inside = 0;
  let troubled = 0;
  let probeAt = 0;
  const isFull = (): boolean => inside >= MOST_AT_ONCE;
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
    leave: (end) => {
      inside -= 1;
      if (end === 'well') troubled = 0;
      if (end === 'troubled') troubled += 1;
      if (troubled === MOST_TROUBLED && end === 'troubled') probeAt = now() + PROBE_MS;
    },
  };
}
