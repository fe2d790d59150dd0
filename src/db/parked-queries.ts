import type pg from 'pg';
import { sagaId, type StepAction } from '../saga/ids.js';
import { legalActions, type OperatorAction, type Parked } from '../saga/operator.js';
import { allSteps, type Plan, type PlanStep } from '../saga/plan.js';
import { uuidOf } from '../saga/subject.js';
import { effectsOf } from './effects-of.js';
import type { ParkedQuestion } from './parked-items.js';
import type { Transaction } from './pool.js';
import type { SagaSummary } from './saga-queries.js';

/** A message as an operator needs to see it. */
export interface ParkedMessage {
  readonly step: string;
  readonly action: StepAction;
  readonly type: string;
  readonly status: 'pending' | 'sent' | 'rejected' | 'dead' | 'withdrawn';
  readonly attempts: number;
  readonly revision: number;
  readonly payload: unknown;
  readonly lastError: string | null;
}

/** A saga with what an operator's choice depends on, read in one snapshot. */
export interface ParkedRecord extends SagaSummary {
  readonly plan: Plan;
  readonly parked: Readonly<Record<string, Parked>>;
  /** Names of the local steps that are applied. */
  readonly applied: readonly string[];
  readonly messages: readonly ParkedMessage[];
  /** Done as a step of another saga, which alone can take it back. */
  readonly isHeld: boolean;
}

/** A step that waits for an operator. */
export interface ParkedStep {
  readonly step: PlanStep;
  readonly parked: Parked;
  /** What the parked direction has sent; absent for a local step, and before a payload was built. */
  readonly message?: ParkedMessage;
  readonly actions: readonly OperatorAction[];
}

const RECORD = `select s.id, s.type, s.business_key as "businessKey", s.state, s.reason, s.park_reason as "parkReason",
    s.accepted_at as "acceptedAt", s.updated_at as "updatedAt", s.finished_at as "finishedAt", s.plan, s.parked,
    s.held_at is not null and s.cancel_reason is null as "isHeld",
    coalesce((select jsonb_agg(step) from settle.step_effect
               where ${effectsOf('s.id')} and action = 'do' and status = 'applied'), '[]') as applied,
    coalesce((select jsonb_agg(jsonb_build_object('step', step, 'action', action, 'type', type, 'status', status,
                'attempts', attempts, 'revision', revision, 'payload', payload,
                'lastError', coalesce(reason ->> 'message', last_error)))
                from settle.message_log where ${effectsOf('s.id')}), '[]') as messages
    from settle.saga s`;

/** Parked sagas of a tenant, newest first, of which at least one step is as the filter says. */
export async function listParkedSagas(
  pool: pg.Pool,
  { tenantId, filter, before, limit }: ParkedQuestion,
): Promise<readonly ParkedRecord[]> {
  const { rows } = await pool.query<ParkedRecord>(
    `${RECORD} where s.tenant_id = $1 and s.state = 'parked' and s.finished_at is null and ($2::text is null or s.id < $2)
        and ($4::text is null or s.id = $4) and ($5::text is null or s.type = $5)
        and exists (select from jsonb_each(s.parked) as p (step, why)
                     where ($6::text is null or why ->> 'code' = $6) and ($7::text is null or p.step = $7)
                       and ($8::float8 is null or (why ->> 'at')::timestamptz <= clock_timestamp() - $8 * interval '1 ms'))
      order by s.id desc limit $3`,
    [
      ...[tenantId, before === undefined ? null : sagaId(uuidOf(before)), limit, filter.id ?? null],
      ...[filter.type ?? null, filter.reason ?? null, filter.step ?? null, filter.olderThanMs ?? null],
    ],
  );
  return rows;
}

/** A saga of a tenant, locked until the transaction ends: of two operators one decides first. */
export async function lockParked(
  tx: Transaction,
  { tenantId, sagaId }: { tenantId: string; sagaId: string },
): Promise<ParkedRecord | undefined> {
  const { rowCount } = await tx.query('select 1 from settle.saga where id = $1 and tenant_id = $2 for no key update', [
    sagaId,
    tenantId,
  ]);
  if (rowCount === 0) return undefined;
  // a statement of its own: it sees what the holder of the lock has committed
  const { rows } = await tx.query<ParkedRecord>(`${RECORD} where s.id = $1`, [sagaId]);
  return rows[0];
}

/** The steps of a saga that wait for an operator, and what may be done about each. */
export function parkedSteps(saga: ParkedRecord): readonly ParkedStep[] {
  if (saga.state !== 'parked') return [];
  return allSteps(saga.plan).flatMap((step) => {
    const parked = saga.parked[step.name];
    if (!parked) return [];
    const message = saga.messages.find((each) => each.step === step.name && each.action === parked.action);
    // a workflow that was started anew while it was parked has done it since
    if (message?.status === 'sent') return [];
    const isPast = (other: PlanStep): boolean => other.name !== step.name && mayBePast(saga, other);
    const hasPassedPivot = saga.isHeld || allSteps(saga.plan).some(isPast);
    const actions = legalActions({ step, parked, hasMessage: message !== undefined, hasPassedPivot });
    return [{ step, parked, message, actions }];
  });
}

/** Whether a step that cannot be taken back is done, or perhaps done. */
function mayBePast({ applied, messages }: ParkedRecord, { name, kind }: PlanStep): boolean {
  if (kind === 'compensatable') return false;
  return (
    applied.includes(name) ||
    messages.some(({ step, action, status, attempts }) => {
      return step === name && action === 'do' && attempts > 0 && (status !== 'rejected' || attempts > 1);
    })
  );
}
