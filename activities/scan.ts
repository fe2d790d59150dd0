import type pg from 'pg';
import { claimUndelivered, markDelivered, type UndeliveredAction } from '../src/db/operator-actions.js';
import { claimDueSagas, isOpen, postponeBriefly, type DueSaga } from '../src/db/saga-scan.js';
import type { ScanFindings } from '../src/db/scan-counts.js';
import type { Reason } from '../src/saga/errors.js';
import type { Operation, OperationAnswer } from '../src/saga/operator.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface SagaRestarter {
  ensureRunning(saga: DueSaga, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  signalCancel(sagaId: string, reason: Reason): Promise<void>;
  signalNews(sagaId: string): Promise<void>;
  operate(workflowId: string, operation: Operation): Promise<OperationAnswer | 'gone'>;
}

const BATCH = 200;
const CONCURRENCY = 16;

/**
 * Every open saga that is due gets a running workflow, and is told of a cancel or an event.
 * The ledger is the truth, Temporal is rebuilt from it.
 *
 * @param signal ends it after what is under way; what is left is due again soon
 */
export async function scanSagas(pool: pg.Pool, restarter: SagaRestarter, signal: AbortSignal): Promise<ScanFindings> {
  const due = await claimDueSagas(pool, BATCH);
  const { left, ...findings } = await lookAt(due, (saga) => restart(pool, restarter, saga), signal);
  if (left.length > 0)
    await postponeBriefly(
      pool,
      left.map(({ id }) => id),
    );
  return findings;
}

/** Tells workflows what operators have decided, where they have not heard of it yet. */
export async function scanOperatorActions(
  pool: pg.Pool,
  restarter: SagaRestarter,
  signal: AbortSignal,
): Promise<ScanFindings> {
  const actions = await claimUndelivered(pool, BATCH);
  const { due, started, failed } = await lookAt(actions, (action) => tell(pool, restarter, action), signal);
  return { due, started, failed };
}

/**
 * Looks at what is due, some at a time.
 *
 * @param restart makes sure of one workflow; throws when it cannot now
 * @returns what was found, and what could not be helped or was not come to
 */
export async function lookAt<Due>(
  due: readonly Due[],
  restart: (item: Due) => Promise<string>,
  signal: AbortSignal,
): Promise<ScanFindings & { readonly left: readonly Due[] }> {
  const queue = [...due];
  const failed: Due[] = [];
  let started = 0;
  const lanes = Array.from({ length: CONCURRENCY }, async () => {
    for (let item = queue.shift(); item !== undefined && !signal.aborted; item = queue.shift()) {
      try {
        if ((await restart(item)) === 'started') started += 1;
      } catch {
        // counted, and due again: most often Temporal is away, for all of them alike
        failed.push(item);
      }
    }
  });
  await Promise.all(lanes);
  return { due: due.length, started, failed: failed.length, left: [...failed, ...queue] };
}

/** Tells a workflow again what an operator has decided; one that has ended with its saga needs not be told. */
async function tell(pool: pg.Pool, restarter: SagaRestarter, action: UndeliveredAction): Promise<string> {
  const { tenantId, subjectId, operation, isSettled } = action;
  const answer = await restarter.operate(subjectId, operation);
  if (answer !== 'gone' || isSettled) await markDelivered(pool, { tenantId, actionId: operation.actionId });
  return answer;
}

async function restart(pool: pg.Pool, restarter: SagaRestarter, saga: DueSaga): Promise<string> {
  const result = await restarter.ensureRunning(saga, () => isOpen(pool, saga.id));
  if (saga.cancelReason && result !== 'settled') await restarter.signalCancel(saga.id, saga.cancelReason);
  // one that was started just now looks by itself
  if (saga.hasNews && result === 'running') await restarter.signalNews(saga.id);
  return result;
}
