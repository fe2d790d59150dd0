import { setTimeout as delay } from 'node:timers/promises';

/** Acknowledges entries, many in one step, and none before those that were added earlier. */
export interface Acknowledgements {
  /**
   * Resolves once Redis knows; tries again for as long as it does not.
   *
   * @throws Error the last failure, where its time is limited
   */
  add(entryId: string): Promise<void>;
  /** From now on none is tried for longer than `ms`: what is not acknowledged comes again. */
  limit(ms: number): void;
}

interface Waiting {
  readonly entryId: string;
  readonly done: () => void;
  readonly failed: (error: Error) => void;
}

const RETRY_MS = 200;
const BATCH = 500;

/**
 * Gathers what is to be acknowledged while the step before is on its way.
 *
 * @param send acknowledges entries in one step
 * @param onTrouble told of each failure
 */
export function createAcknowledgements(
  send: (entryIds: readonly string[]) => Promise<unknown>,
  onTrouble: (error: Error) => void,
): Acknowledgements {
  const waiting: Waiting[] = [];
  let isRunning = false;
  let limit = { since: 0, ms: Infinity };

  const attempt = async (batch: readonly Waiting[]): Promise<void> => {
    const begunAt = performance.now();
    for (;;) {
      try {
        await send(batch.map(({ entryId }) => entryId));
        return batch.forEach(({ done }) => done());
      } catch (cause) {
        onTrouble(cause as Error);
        const triedMs = performance.now() - Math.max(begunAt, limit.since);
        if (triedMs >= limit.ms) return batch.forEach(({ failed }) => failed(cause as Error));
        await delay(RETRY_MS);
      }
    }
  };
  const run = async (): Promise<void> => {
    while (waiting.length > 0) await attempt(waiting.splice(0, BATCH));
    isRunning = false;
  };
  return {
    add: (entryId) =>
      new Promise<void>((resolve, reject) => {
        waiting.push({ entryId, done: resolve, failed: reject });
        if (isRunning) return;
        isRunning = true;
        // what ends in the same turn goes in the same step
        setImmediate(() => void run());
      }),
    limit: (ms) => {
      limit = { since: performance.now(), ms };
    },
  };
}
