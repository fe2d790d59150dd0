import type pg from 'pg';
import { claimDueSagas, isOpen, type DueSaga } from '../src/db/saga-scan.js';
import { claimUndelivered, markDelivered, type UndeliveredAction } from '../src/db/operator-actions.js';
import type { Reason } from '../src/saga/errors.js';
import type { Operation, OperationAnswer } from '../src/saga/operator.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface SagaRestarter {
  ensureRunning(saga: DueSaga, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  signalCancel(sagaId: string, reason: Reason): Promise<void>;
  operate(sagaId: string, operation: Operation): Promise<OperationAnswer | 'gone'>;
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
 */
export async function scanOnce(pool: pg.Pool, restarter: SagaRestarter): Promise<ScanFindings> {
  const due = [...(await claimDueSagas(pool, BATCH))];
  const findings = { due: due.length, started: 0, failed: 0 };
  const lanes = Array.from({ length: CONCURRENCY }, async () => {
    for (let saga = due.shift(); saga; saga = due.shift()) {
      try {
        if ((await restart(pool, restarter, saga)) === 'started') findings.started += 1;
      } catch {
        // counted, and due again: most often Temporal is away, for all of them alike
        findings.failed += 1;
      }
    }
  });
  await Promise.all(lanes);
  // after the workflows: an action for one that was lost is told to the one that takes its place
  const undelivered = await claimUndelivered(pool, BATCH);
  await Promise.all(
    undelivered.map((action) =>
      deliver(pool, restarter, action).catch(() => {
        findings.failed += 1;
      }),
    ),
  );
  return findings;
}

/** Tells a workflow again what an operator has decided; one that has ended with its saga needs not be told. */
async function deliver(pool: pg.Pool, restarter: SagaRestarter, action: UndeliveredAction): Promise<void> {
  const { tenantId, sagaId, operation, isSettled } = action;
  const answer = await restarter.operate(sagaId, operation);
  if (answer !== 'gone' || isSettled) await markDelivered(pool, { tenantId, actionId: operation.actionId });
}

async function restart(pool: pg.Pool, restarter: SagaRestarter, saga: DueSaga): Promise<string> {
  const result = await restarter.ensureRunning(saga, () => isOpen(pool, saga.id));
  if (saga.cancelReason && result !== 'settled') await restarter.signalCancel(saga.id, saga.cancelReason);
  return result;
}
