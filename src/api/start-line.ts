/** Calls to Temporal that nobody waits for: so many at a time, so many more in line, and past the line the ledger scan takes over. */
export interface StartLine {
  /** Returns at once; never throws. */
  add(call: () => Promise<unknown>): void;
  /** Forgets the line and waits for the calls under way. */
  drain(): Promise<void>;
}

const MAX_UNDER_WAY = 64;
const MAX_IN_LINE = 2_000;

/**
 * A line of one process.
 *
 * @param onFailure told of each call that failed
 */
export function createStartLine(onFailure: (error: unknown) => void): StartLine {
  const waiting: (() => Promise<unknown>)[] = [];
  const underWay = new Set<Promise<void>>();
  const begin = (call: () => Promise<unknown>): void => {
    const calling = (async () => void (await call()))()
      .catch(onFailure)
      .finally(() => {
        underWay.delete(calling);
        const next = waiting.shift();
        if (next) begin(next);
      });
    underWay.add(calling);
  };
  return {
    add: (call) => {
      if (underWay.size < MAX_UNDER_WAY) begin(call);
      else if (waiting.length < MAX_IN_LINE) waiting.push(call);
    },
    drain: async () => {
      waiting.length = 0;
      await Promise.all(underWay);
    },
  };
}
