import type { Ledger } from './ledger.js';
import { ProblemError } from './problems.js';

/** How old the count may be: under load it costs four queries a second, whatever the load. */
const SAMPLE_MS = 250;

/** Bounds how many accepted sagas may wait for Temporal. */
export interface Backlog {
  /**
   * Lets a request in while there is room, and a repeated one always: it adds nothing.
   *
   * @throws ProblemError `backlog-full`
   */
  admit(request: { tenantId: string; idempotencyKey: string }): Promise<void>;
}

/** The backlog of one process; `limit` sagas may wait, give or take what a quarter of a second brings. */
export function createBacklog(ledger: Pick<Ledger, 'countWaiting' | 'isKeyKnown'>, limit: number): Backlog {
  let sample: Promise<boolean> | undefined;
  const isFull = (): Promise<boolean> => {
    if (sample) return sample;
    const taken = ledger.countWaiting(limit).then((count) => count >= limit);
    sample = taken;
    const forget = (): void => void (sample = undefined);
    taken.then(() => setTimeout(forget, SAMPLE_MS).unref(), forget);
    return taken;
  };
  return {
    admit: async (request) => {
      if (!(await isFull()) || (await ledger.isKeyKnown(request))) return;
      throw new ProblemError('backlog-full', `${limit} or more sagas wait to be started`, {
        headers: { 'retry-after': '5' },
      });
    },
  };
}
