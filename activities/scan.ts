import type pg from 'pg';
import { claimDueSagas, isOpen, postponeBriefly, type DueSaga } from '../src/db/saga-scan.js';
import type { Reason } from '../src/saga/errors.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface SagaRestarter {
  ensureRunning(saga: DueSaga, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  signalCancel(sagaId: string, reason: Reason): Promise<void>;
}

/** What one round found. */
export interface ScanFindings {
  /** Looked at. */
  readonly due: number;
  /** Had no workflow: never started, or Temporal has lost it. */
  readonly started: number;
  /** Could not be helped now; the next round tries again. */
  readonly failed: number;
}

const BATCH = 200;
const CONCURRENCY = 16;

/**
 * One round of the ledger scan: every open saga that is due gets a running workflow, and its cancel request if it has one.
 * The ledger is the truth, Temporal is rebuilt from it.
 *
 * @param signal ends the round after what is under way; what is left is due again soon
 */
export async function scanOnce(pool: pg.Pool, restarter: SagaRestarter, signal: AbortSignal): Promise<ScanFindings> {
  const due = [...(await claimDueSagas(pool, BATCH))];
  const looked = due.length;
  const failed: DueSaga[] = [];
  let started = 0;
  const lanes = Array.from({ length: CONCURRENCY }, async () => {
    for (let saga = due.shift(); saga && !signal.aborted; saga = due.shift()) {
      try {
        if ((await restart(pool, restarter, saga)) === 'started') started += 1;
      } catch {
        // counted, and due again: most often Temporal is away, for all of them alike
        failed.push(saga);
      }
    }
  });
  await Promise.all(lanes);
  const left = [...failed, ...due].map(({ id }) => id);
  if (left.length > 0) await postponeBriefly(pool, left);
  return { due: looked, started, failed: failed.length };
}

async function restart(pool: pg.Pool, restarter: SagaRestarter, saga: DueSaga): Promise<string> {
  const result = await restarter.ensureRunning(saga, () => isOpen(pool, saga.id));
  if (saga.cancelReason && result !== 'settled') await restarter.signalCancel(saga.id, saga.cancelReason);
  return result;
}
