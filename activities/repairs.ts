import { heartbeat } from '@temporalio/activity';
import type pg from 'pg';
import {
  markDelivered,
  recordOperatorAction,
  type OperatorAnswer,
  type RecordedAction,
} from '../src/db/operator-actions.js';
import {
  finishRepair,
  isRepairRunning,
  nextRepairCalls,
  recordRepairCall,
  type RepairCall,
  type RepairCallEnd,
} from '../src/db/repair-work.js';
import { repairActionId } from '../src/saga/repair.js';
import type { SagaRestarter } from './scan.js';

/** What a repair's workflow does to the world; idempotent, as each call has an action id of its own. */
export interface RepairActivities {
  /** Makes the next calls of a repair and records what became of each; answers whether the repair is over. */
  repairItems(args: { readonly repairId: string; readonly limit: number }): Promise<boolean>;
}

/** What the activities are made of. */
export interface RepairDependencies {
  readonly pool: pg.Pool;
  /** Tells workflows what was decided. */
  readonly restarter: Pick<SagaRestarter, 'operate'>;
  /** How old something may be that is sent again without `mayRepeat`. */
  readonly windowMs: number;
  /** Told before each call, so that a worker that died is noticed. @default a heartbeat to Temporal */
  readonly beat?: () => void;
}

const CONCURRENCY = 8;

/** Makes the activities; the worker registers them. */
export function createRepairActivities(dependencies: RepairDependencies): RepairActivities {
  const { pool, beat = heartbeat } = dependencies;
  return {
    repairItems: async ({ repairId, limit }) => {
      const queue = [...(await nextRepairCalls(pool, { repairId, limit }))];
      const lanes = Array.from({ length: CONCURRENCY }, async () => {
        for (let call = queue.shift(); call !== undefined; call = queue.shift()) {
          beat();
          // a cancel holds from the next call on
          if (!(await isRepairRunning(pool, repairId))) return;
          await recordRepairCall(pool, await make(dependencies, call));
        }
      });
      await Promise.all(lanes);
      return finishRepair(pool, repairId);
    },
  };
}

async function make({ pool, restarter, windowMs }: RepairDependencies, call: RepairCall): Promise<RepairCallEnd> {
  const { repairId, position, ...request } = call;
  const actionId = repairActionId(repairId, position);
  const answer = await recordOperatorAction(
    pool,
    { ...request, actionId, requestId: repairId, requestHash: actionId },
    // checked when it was previewed, and unchanged since
    { check: () => undefined, windowMs },
  );
  if (answer.kind !== 'recorded') return { repairId, position, status: 'skipped', ...whyNot(answer) };
  await tell({ pool, restarter }, request.tenantId, answer.action);
  return { repairId, position, status: 'done', reason: null, state: answer.action.state };
}

type Refusal = Exclude<OperatorAnswer, { kind: 'recorded' }>;

function whyNot(answer: Refusal): Pick<RepairCallEnd, 'reason' | 'state'> {
  switch (answer.kind) {
    case 'unknown':
      return { reason: { code: 'not-found', message: 'it is there no longer' }, state: null };
    case 'reused':
      return {
        reason: { code: 'action-id-reused', message: 'its action id was used for another action' },
        state: null,
      };
    case 'forgotten':
      return { reason: { code: 'may-repeat-effect', message: 'it has grown too old meanwhile' }, state: null };
    default: {
      const { state } = answer.now;
      return { reason: { code: 'changed', message: `it has changed since the preview, and is ${state}` }, state };
    }
  }
}

/** At once; what cannot be told now is told by the ledger scan. */
async function tell(
  { pool, restarter }: Pick<RepairDependencies, 'pool' | 'restarter'>,
  tenantId: string,
  { operation, subjectId, actionId }: RecordedAction,
): Promise<void> {
  const answer = await restarter.operate(subjectId, operation).catch(() => 'gone' as const);
  if (answer !== 'gone') await markDelivered(pool, { tenantId, actionId });
}
