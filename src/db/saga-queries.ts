import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { StepAction } from '../saga/ids.js';
import type { Parked } from '../saga/operator.js';
import { PARENT_COMPENSATES } from './child-sagas.js';
import type { ActionRow } from './operator-actions.js';
import type { Plan } from '../saga/plan.js';
import { isTerminal, type ParentStep, type SagaState } from '../saga/state.js';
import { childrenOf, effectsOf } from './effects-of.js';

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

/** What the ledger knows of an event that a step waits for; times are ISO 8601. */
export interface AwaitedEventRow {
  readonly step: string;
  readonly status: 'awaited' | 'received' | 'timed-out';
  readonly waitingSince: string | null;
  readonly receivedAt: string | null;
}

/** What the ledger knows of the saga that runs as a step; times are ISO 8601. */
export interface ChildSagaRow {
  readonly step: string;
  readonly sagaId: string;
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly acceptedAt: string;
  /** When it was done, though it could still be taken back. */
  readonly heldAt: string | null;
  /** Whether its parent has taken it back. */
  readonly isTakenBack: boolean;
  readonly updatedAt: string;
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
  readonly awaited: readonly AwaitedEventRow[];
  readonly children: readonly ChildSagaRow[];
  readonly parent: ParentStep | null;
  /** When it was done as a step of another saga. */
  readonly heldAt: Date | null;
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
                         from settle.operator_action where subject_id = $1), '[]') as actions,
             coalesce((select jsonb_agg(jsonb_build_object('step', step, 'action', action, 'status', status,
                                                           'reason', reason, 'appliedAt', applied_at))
                         from settle.step_effect where ${effectsOf('$1')}), '[]') as effects,
             coalesce((select jsonb_agg(jsonb_build_object('step', step, 'action', action, 'status', status,
                                                           'attempts', attempts, 'reason', reason, 'lastError', last_error,
                                                           'firstSentAt', first_sent_at, 'finishedAt', finished_at))
                         from settle.message_log where ${effectsOf('$1')}), '[]') as messages,
             coalesce((select jsonb_agg(jsonb_build_object('step', step, 'status', status, 'waitingSince', waiting_since,
                                                           'receivedAt', received_at))
                         from settle.awaited_event where saga_id = $1), '[]') as awaited,
             coalesce((select jsonb_agg(jsonb_build_object('step', parent_step, 'sagaId', id, 'state', state, 'reason', reason,
                                                           'acceptedAt', accepted_at, 'heldAt', held_at,
                                                           'isTakenBack', coalesce(cancel_reason ->> 'code', '') = '${PARENT_COMPENSATES}',
                                                           'updatedAt', updated_at))
                         from settle.saga where ${childrenOf('$1')}), '[]') as children,
             s.held_at as "heldAt",
             case when parent_id is not null then jsonb_build_object('sagaId', parent_id, 'step', parent_step) end as parent
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
  // all but the few that are open have settled: their index finds them, however many that are
  if (filter.state && !isTerminal(filter.state)) conditions.push('s.finished_at is null');
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
  const { rowCount } = await pool.query(
    `select 1 from settle.idempotency_key where tenant_id = $1 and kind = 'saga' and key = $2`,
    [tenantId, idempotencyKey],
  );
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
