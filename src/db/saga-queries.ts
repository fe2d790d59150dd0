import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { StepAction } from '../saga/ids.js';
import type { Parked } from '../saga/operator.js';
import type { ActionRow } from './operator-actions.js';
import type { Plan } from '../saga/plan.js';
import type { SagaState } from '../saga/state.js';

/** A saga as a list shows it. */
export interface SagaSummary {
  readonly id: string;
  readonly type: string;
  readonly businessKey: string;
  readonly state: SagaState;
  /** Why it compensates; null while it goes forward. */
  readonly reason: Reason | null;
  readonly parkReason: Reason | null;
  readonly acceptedAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | null;
}

/** What the ledger knows of one local effect; times are ISO 8601. */
export interface EffectRow {
  readonly step: string;
  readonly action: StepAction;
  readonly status: 'applied' | 'rejected' | 'tombstone' | 'nothing-to-undo';
  readonly reason: Reason | null;
  readonly appliedAt: string;
}

/** What the ledger knows of one message; times are ISO 8601. */
export interface MessageRow {
  readonly step: string;
  readonly action: StepAction;
  readonly status: 'pending' | 'sent' | 'rejected' | 'dead' | 'withdrawn';
  readonly attempts: number;
  readonly reason: Reason | null;
  readonly lastError: string | null;
  readonly firstSentAt: string | null;
  readonly finishedAt: string | null;
}

/** A saga with all that its steps have left in the ledger, read in one snapshot. */
export interface SagaRecord extends SagaSummary {
  readonly plan: Plan;
  /** Why each parked step waits, by its name. */
  readonly parked: Readonly<Record<string, Parked>>;
  /** What operators did about it, in order. */
  readonly actions: readonly ActionRow[];
  readonly effects: readonly EffectRow[];
  readonly messages: readonly MessageRow[];
}

const SUMMARY = `s.id, s.type, s.business_key as "businessKey", s.state, s.reason, s.park_reason as "parkReason",
  s.accepted_at as "acceptedAt", s.updated_at as "updatedAt", s.finished_at as "finishedAt"`;

/** One saga of a tenant, or undefined: another tenant's does not exist for it. */
export async function findSaga(
  pool: pg.Pool,
  { tenantId, sagaId }: { tenantId: string; sagaId: string },
): Promise<SagaRecord | undefined> {
  const { rows } = await pool.query<SagaRecord>({
    name: 'find-saga',
    text: `select ${SUMMARY}, s.plan, s.parked,
             coalesce((select jsonb_agg(jsonb_build_object('actionId', id, 'step', step, 'action', action, 'actor', actor,
                                                           'reason', reason, 'at', at) order by seq)
                         from settle.operator_action where subject_id = s.id), '[]') as actions,
             coalesce((select jsonb_agg(jsonb_build_object('step', step, 'action', action, 'status', status,
                                                           'reason', reason, 'appliedAt', applied_at))
                         from settle.step_effect where saga_id = s.id), '[]') as effects,
             coalesce((select jsonb_agg(jsonb_build_object('step', step, 'action', action, 'status', status,
                                                           'attempts', attempts, 'reason', reason, 'lastError', last_error,
                                                           'firstSentAt', first_sent_at, 'finishedAt', finished_at))
                         from settle.message_log where saga_id = s.id), '[]') as messages
             from settle.saga s where s.id = $1 and s.tenant_id = $2`,
    values: [sagaId, tenantId],
  });
  return rows[0];
}

/** Which sagas a list shows; all conditions that are given must hold. */
export interface SagaFilter {
  readonly tenantId: string;
  readonly type?: string;
  readonly state?: SagaState;
  readonly businessKey?: string;
  /** Only sagas older than this one: the last of the page before. */
  readonly before?: string;
  readonly limit: number;
}

/** Sagas of a tenant, newest first (ids are in order of time). */
export async function listSagas(pool: pg.Pool, filter: SagaFilter): Promise<readonly SagaSummary[]> {
  const values: unknown[] = [filter.tenantId];
  const conditions = ['s.tenant_id = $1'];
  const add = (condition: string, value: unknown): void => {
    if (value === undefined) return;
    values.push(value);
    conditions.push(`${condition} $${values.length}`);
  };
  add('s.type =', filter.type);
  add('s.state =', filter.state);
  add('s.business_key =', filter.businessKey);
  add('s.id <', filter.before);
  values.push(filter.limit);
  const { rows } = await pool.query<SagaSummary>(
    `select ${SUMMARY} from settle.saga s where ${conditions.join(' and ')} order by s.id desc limit $${values.length}`,
    values,
  );
  return rows;
}

/** Whether a request with this key was accepted before. */
export async function isKeyKnown(
  pool: pg.Pool,
  { tenantId, idempotencyKey }: { tenantId: string; idempotencyKey: string },
): Promise<boolean> {
  const { rowCount } = await pool.query('select 1 from settle.saga where tenant_id = $1 and idempotency_key = $2', [
    tenantId,
    idempotencyKey,
  ]);
  return rowCount === 1;
}

/** How a local effect ended, or how its saga ended without it. */
export interface EffectEnd {
  readonly effectKey: string;
  /** Null when the saga has settled without this effect. */
  readonly status: EffectRow['status'] | null;
  readonly reason: Reason | null;
}

/** Of the local effects asked for, those that have ended by now. */
export async function findEffectEnds(
  pool: pg.Pool,
  asked: readonly { sagaId: string; effectKey: string }[],
): Promise<readonly EffectEnd[]> {
  const { rows } = await pool.query<EffectEnd>({
    name: 'find-effect-ends',
    text: `select asked.effect_key as "effectKey", e.status, coalesce(e.reason, s.reason) as reason
             from unnest($1::text[], $2::text[]) as asked (saga_id, effect_key)
             join settle.saga s on s.id = asked.saga_id
             left join settle.step_effect e on e.effect_key = asked.effect_key
            where e.effect_key is not null or s.finished_at is not null`,
    values: [asked.map(({ sagaId }) => sagaId), asked.map(({ effectKey }) => effectKey)],
  });
  return rows;
}

/** One change of a saga's state. */
export interface SagaEvent {
  readonly id: number;
  readonly sagaId: string;
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly at: Date;
}

/**
 * The changes of state after the ones that are known, in order. The row lock on the saga orders its changes,
 * so that a higher id never commits before a lower one of the same saga.
 */
export async function findEventsAfter(
  pool: pg.Pool,
  asked: readonly { sagaId: string; after: number }[],
): Promise<readonly SagaEvent[]> {
  const { rows } = await pool.query<SagaEvent>({
    name: 'find-events-after',
    text: `select distinct e.id, e.saga_id as "sagaId", e.state, e.reason, e.at
             from unnest($1::text[], $2::bigint[]) as asked (saga_id, after)
             join settle.saga_event e on e.saga_id = asked.saga_id and e.id > asked.after order by e.id`,
    values: [asked.map(({ sagaId }) => sagaId), asked.map(({ after }) => after)],
  });
  return rows;
}

/** How many sagas are open, by state. Reads the index of open sagas only, however many have settled. */
export async function countOpenByState(pool: pg.Pool): Promise<ReadonlyMap<SagaState, number>> {
  const { rows } = await pool.query<{ state: SagaState; count: number }>(
    'select state, count(*) from settle.saga where due_at is not null group by state',
  );
  return new Map(rows.map(({ state, count }) => [state, count]));
}

/** @throws when the database does not answer */
export async function ping(pool: pg.Pool): Promise<void> {
  await pool.query('select 1');
}
