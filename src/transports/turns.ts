/** Between two turns, in ms: what waits for a participant asks this often at the most, however much of it there is. */
const BETWEEN_MS = 40;
const SOONEST_MS = 1_000;
/** So that all is moving again within 30 s of a fault's end; the turns are closer together where this would not hold. */
const LATEST_MS = 20_000;

/** When what is held back is to ask again. */
export interface Turns {
  /** Gives the next turn, in ms from now: 1000 at the least, 20000 at the most. */
  next(): number;
  /** Nobody waits any more. */
  clear(): void;
}

/**
 * Spreads what waits for one participant: each gets the turn after the one before it, so that few ask again soon, and thousands do
 * not spend the power of those that could go on.
 *
 * @param now ms on a clock that only goes forward
 * @param random from 0 to 1: once all turns are taken, the rest comes at any time in their second half
 */
export function createTurns(now: () => number, random: () => number = Math.random): Turns {
  let lastAt = -Infinity;
  return {
    next: () => {
      const at = Math.max(lastAt + BETWEEN_MS, now() + SOONEST_MS);
      if (at > now() + LATEST_MS) return LATEST_MS * (1 - random() / 2);
      lastAt = at;
      return at - now();
    },
    clear: () => {
      lastAt = -Infinity;
    },
  };
}
