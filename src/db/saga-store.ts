import type pg from 'pg';
import { FencedError, type Reason } from '../saga/errors.js';
import { effectKey } from '../saga/ids.js';
import { allSteps, type Plan } from '../saga/plan.js';
import { isTerminal, type SagaOutcome, type SagaStart, type SagaState, type StateRecord } from '../saga/state.js';
import { withTransaction, type Transaction } from './pool.js';

/** A saga as a client asks for it. */
export interface NewSaga {
  readonly id: string;
  readonly tenantId: string;
  readonly idempotencyKey: string;
  /** SHA-256 of the canonical request, so that the same key with another request can be told apart. */
  readonly requestHash: string;
  readonly type: string;
  readonly businessKey: string;
  readonly plan: Plan;
  readonly input: unknown;
}

/** A saga as the ledger holds it. */
export interface AcceptedSaga {
  readonly id: string;
  readonly tenantId: string;
  readonly requestHash: string;
  readonly type: string;
  readonly businessKey: string;
  readonly plan: Plan;
  readonly input: unknown;
  readonly state: SagaState;
  readonly acceptedAtMs: number;
  /** Whether the key was accepted before: then this is that saga, and the new one was not stored. */
  readonly replayed: boolean;
}

const ACCEPTED_COLUMNS = `id, tenant_id as "tenantId", request_hash as "requestHash", type, business_key as "businessKey",
  plan, input, state, floor(extract(epoch from accepted_at) * 1000)::float8 as "acceptedAtMs"`;

/** A saga that nobody has started by then is started by the scan. */
const START_GRACE = '3 seconds';

/**
 * Accepts a saga, or finds the one that the same key was accepted for. Uniqueness lives here and nowhere else:
 * of many identical requests at the same moment one inserts, the others wait for its commit and read it.
 */
export async function acceptSaga(pool: pg.Pool, saga: NewSaga): Promise<AcceptedSaga> {
  const inserted = await pool.query<AcceptedSaga>({
    name: 'accept-saga',
    text: `insert into settle.saga (id, tenant_id, idempotency_key, request_hash, type, business_key, plan, input, due_at)
           values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + interval '${START_GRACE}')
           on conflict on constraint saga_idempotency do nothing
           returning ${ACCEPTED_COLUMNS}`,
    values: [
      saga.id,
      saga.tenantId,
      saga.idempotencyKey,
      saga.requestHash,
      saga.type,
      saga.businessKey,
      JSON.stringify(saga.plan),
      JSON.stringify(saga.input),
    ],
  });
  if (inserted.rows[0]) return { ...inserted.rows[0], replayed: false };
  const { rows } = await pool.query<AcceptedSaga>({
    name: 'find-by-key',
    text: `select ${ACCEPTED_COLUMNS} from settle.saga where tenant_id = $1 and idempotency_key = $2`,
    values: [saga.tenantId, saga.idempotencyKey],
  });
  return { ...rows[0]!, replayed: true };
}

/** How many sagas wait to be started, counted no further than `atMost`. */
export async function countWaiting(pool: pg.Pool, atMost: number): Promise<number> {
  const { rows } = await pool.query<{ count: number }>(
    `select count(*) from (select 1 from settle.saga where state = 'accepted' limit $1) as waiting`,
    [atMost],
  );
  return rows[0]!.count;
}

/**
 * Records that a saga is to be cancelled; the record outlives Temporal, the signal that follows it need not.
 *
 * @returns `settled` when it is too late, `unknown` when the tenant has no such saga
 */
export async function requestCancel(
  pool: pg.Pool,
  { tenantId, sagaId, reason }: { tenantId: string; sagaId: string; reason: Reason },
): Promise<'requested' | 'settled' | 'unknown'> {
  const { rows } = await pool.query<{ state: SagaState }>(
    `update settle.saga
        set cancel_reason = case when finished_at is null then coalesce(cancel_reason, $3) else cancel_reason end, scans = 0,
            due_at = case when finished_at is null then clock_timestamp() + interval '${START_GRACE}' end
      where id = $1 and tenant_id = $2
      returning state`,
    [sagaId, tenantId, JSON.stringify(reason)],
  );
  if (!rows[0]) return 'unknown';
  return isTerminal(rows[0].state) ? 'settled' : 'requested';
}

/**
 * The fence before every `do`, and what makes an accepted saga a running one.
 * A cancel that was accepted holds here too, however late its signal comes: no step that can be taken back begins after it.
 *
 * @throws FencedError with the recorded reason when the saga has decided to compensate, is to be cancelled, or has settled
 */
export async function enterForward(tx: Transaction, { sagaId, step }: { sagaId: string; step: string }): Promise<void> {
  const { rows } = await tx.query<{
    state: SagaState;
    reason: Reason | null;
    cancelReason: Reason | null;
    plan: Plan | null;
  }>({
    name: 'enter-forward',
    text: `select state, reason, cancel_reason as "cancelReason", case when cancel_reason is not null then plan end as plan
             from settle.saga where id = $1 for no key update`,
    values: [sagaId],
  });
  const saga = rows[0];
  const isCancelled =
    saga?.plan && allSteps(saga.plan).some(({ name, kind }) => name === step && kind === 'compensatable');
  const standing = saga?.reason ?? (isCancelled ? saga.cancelReason : null);
  if (saga?.state === 'accepted') {
    await tx.query({
      name: 'enter-running',
      text: `update settle.saga set state = 'running', updated_at = clock_timestamp() where id = $1`,
      values: [sagaId],
    });
  }
  if (saga && !standing && !isTerminal(saga.state)) return;
  const ended = { code: saga?.state ?? 'unknown-saga', message: 'the saga no longer goes forward' };
  throw new FencedError(effectKey({ sagaId, step, action: 'do' }), standing ?? ended);
}

/** A change of state that is not the end. */
export interface StateChange {
  readonly sagaId: string;
  readonly state: Exclude<SagaState, SagaOutcome | 'accepted'>;
  readonly reason?: Reason;
}

/**
 * Records a change of state; repeating it changes nothing, and a settled saga stays as it is.
 * `reason` is why the saga compensates, and the first one recorded stays; why it is parked stands beside it.
 * The decision to compensate is the fence: what `begun` does not name will never be sent.
 */
export async function recordState(pool: pg.Pool, { sagaId, state, reason }: StateChange): Promise<StateRecord> {
  return withTransaction(pool, async (tx) => {
    const standing = await lockSaga(tx, sagaId);
    if (!standing) return {};
    if (isTerminal(standing.state)) return { outcome: standing.state, reason: standing.reason ?? undefined };
    const begun = state === 'compensating' ? await findBegun(tx, sagaId) : [];
    if (!standing.reason && hasPassedPivot(standing.plan, begun)) return { mustGoForward: true };
    const { rows } = await tx.query<{ reason: Reason | null }>(
      `update settle.saga
          set state = case when $2 = 'running' and reason is not null then 'compensating' else $2 end, updated_at = clock_timestamp(),
              reason = case when $2 = 'parked' then reason else coalesce(reason, $3) end,
              park_reason = case when $2 = 'parked' then $3::jsonb end
        where id = $1 returning reason`,
      [sagaId, state, reason ? JSON.stringify(reason) : null],
    );
    return { reason: rows[0]?.reason ?? undefined, begun: begun.map(({ step }) => step) };
  });
}

interface Standing {
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly plan: Plan;
}

async function lockSaga(tx: Transaction, sagaId: string): Promise<Standing | undefined> {
  const { rows } = await tx.query<Standing>(
    'select state, reason, plan from settle.saga where id = $1 for no key update',
    [sagaId],
  );
  return rows[0];
}

/** A step whose `do` was applied, or was sent and may have been. */
interface Begun {
  readonly step: string;
  /** Definitely applied. */
  readonly isDone: boolean;
}

/** Whether a `do` may have been applied, by its row: of several attempts an earlier one may have been, whatever the last one brought. */
export const MAYBE_APPLIED = `attempts > 0 and (status <> 'rejected' or attempts > 1)`;

/** Exact, as no `do` begins without the lock on its saga. */
async function findBegun(tx: Transaction, sagaId: string): Promise<readonly Begun[]> {
  const { rows } = await tx.query<Begun>({
    name: 'find-begun',
    text: `select step, status = 'sent' as "isDone" from settle.message_log
            where saga_id = $1 and action = 'do' and ${MAYBE_APPLIED}
           union all
           select step, true from settle.step_effect where saga_id = $1 and action = 'do' and status = 'applied'`,
    values: [sagaId],
  });
  return rows;
}

function hasPassedPivot(plan: Plan, begun: readonly Begun[]): boolean {
  return allSteps(plan).some(({ name, kind, undo }) => {
    const trace = kind === 'compensatable' ? undefined : begun.find(({ step }) => step === name);
    // one that may have happened and has no undo can be neither taken back nor given up
    return trace !== undefined && (trace.isDone || undo === undefined);
  });
}

/**
 * Ends a saga, once: a repetition finds it ended and changes nothing.
 * Messages of a compensated saga that never had an answer are withdrawn: their undo has made them impossible.
 *
 * @throws FencedError when it is to complete but has decided to compensate, or has settled the other way: a workflow that is
 *   started anew after Temporal's loss finds every stored answer and would take the saga for done
 */
export async function settleSaga(
  pool: pg.Pool,
  { sagaId, outcome, reason }: { sagaId: string; outcome: SagaOutcome; reason?: Reason },
): Promise<void> {
  const settled = await pool.query({
    name: 'settle-saga',
    text: `with settled as (
             update settle.saga
                set state = $2, reason = coalesce(reason, $3), park_reason = null, due_at = null,
                    updated_at = clock_timestamp(), finished_at = clock_timestamp()
              where id = $1 and finished_at is null and ($2 = 'compensated' or (reason is null and ${MAY_COMPLETE}))
              returning id),
           withdrawn as (
             update settle.message_log m set status = 'withdrawn', finished_at = clock_timestamp()
               from settled where $2 = 'compensated' and m.saga_id = settled.id and m.status in ('pending', 'dead'))
           select from settled`,
    values: [sagaId, outcome, reason ? JSON.stringify(reason) : null],
  });
  if (settled.rowCount === 1) return;
  // a statement of its own: the one above may have waited for another settle, and does not see what that has written
  const { rows } = await pool.query<{ state: SagaState; reason: Reason | null }>(
    'select state, coalesce(reason, cancel_reason) as reason from settle.saga where id = $1',
    [sagaId],
  );
  const saga = rows[0];
  if (!saga || saga.state === outcome) return;
  const standing = saga.reason ?? { code: saga.state, message: `the saga is '${saga.state}' already` };
  throw new FencedError(`${sagaId}/settle`, standing);
}

/** A cancel that was accepted before the end holds, unless the plan has a step that cannot be taken back. */
const MAY_COMPLETE = `(cancel_reason is null or jsonb_path_exists(plan, '$.items.**.kind ? (@ != "compensatable")'))`;

/** The workflow's input, as pinned at acceptance. */
export function startOf(saga: Omit<AcceptedSaga, 'replayed'>): SagaStart {
  return {
    sagaId: saga.id,
    tenantId: saga.tenantId,
    plan: saga.plan,
    input: saga.input,
    acceptedAtMs: saga.acceptedAtMs,
  };
}
