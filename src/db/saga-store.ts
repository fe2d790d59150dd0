import type pg from 'pg';
import { FencedError, type Reason } from '../saga/errors.js';
import { effectKey, type EffectId, type StepAction } from '../saga/ids.js';
import { allSteps, type Plan } from '../saga/plan.js';
import {
  isTerminal,
  type SagaOutcome,
  type ParentStep,
  type SagaStart,
  type SagaState,
  type StateRecord,
} from '../saga/state.js';
import { childrenOf, effectsOf } from './effects-of.js';
import type { Transaction } from './pool.js';
import { storeOnce } from './store-once.js';

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
  /** W3C trace context of the request. */
  readonly traceparent?: string;
  /** When nobody has started it by then the scan does, in ms. @default {@link START_GRACE} */
  readonly startGraceMs?: number;
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
  /** The saga that it is a step of. */
  readonly parent?: ParentStep | null;
  /** W3C trace context of the request that it was accepted with. */
  readonly traceparent?: string | null;
  /** Whether the key was accepted before: then this is that saga, and the new one was not stored. */
  readonly replayed: boolean;
  /** How its first step ended, where that was part of its acceptance. */
  readonly local?: { readonly status: 'applied' | 'rejected'; readonly reason: Reason | null };
}

/** The columns of an accepted saga. */
export const ACCEPTED_COLUMNS = `id, tenant_id as "tenantId", request_hash as "requestHash", type, business_key as "businessKey",
  plan, input, state, traceparent, floor(extract(epoch from accepted_at) * 1000)::float8 as "acceptedAtMs",
  case when parent_id is not null then jsonb_build_object('sagaId', parent_id, 'step', parent_step) end as parent`;

/** A saga that nobody has started by then is started by the scan. */
export const START_GRACE = '3 seconds';

/**
 * Accepts a saga, or finds the one that the same key was accepted for. Uniqueness lives here and nowhere else:
 * of many identical requests at the same moment one inserts, the others wait for its commit and read it.
 */
export async function acceptSaga(pool: pg.Pool, saga: NewSaga): Promise<AcceptedSaga> {
  return storeOnce(
    () => insertSaga(pool, saga),
    () => findByKey(pool, saga),
  );
}

async function insertSaga(pool: pg.Pool, saga: NewSaga): Promise<AcceptedSaga | undefined> {
  const { rows } = await pool.query<AcceptedSaga>({
    name: 'accept-saga',
    text: `with key as (
             insert into settle.idempotency_key (tenant_id, kind, key, owner_id) values ($2, 'saga', $3, $1)
             on conflict (tenant_id, kind, key) do nothing returning owner_id)
           insert into settle.saga (id, tenant_id, idempotency_key, request_hash, type, business_key, plan, input, traceparent, due_at)
           select owner_id, $2, $3, $4, $5, $6, $7, $8, $9, clock_timestamp() + coalesce($10 * interval '1 ms', interval '${START_GRACE}') from key
           returning ${ACCEPTED_COLUMNS}, false as replayed`,
    values: [
      saga.id,
      saga.tenantId,
      saga.idempotencyKey,
      saga.requestHash,
      saga.type,
      saga.businessKey,
      JSON.stringify(saga.plan),
      JSON.stringify(saga.input),
      saga.traceparent ?? null,
      saga.startGraceMs ?? null,
    ],
  });
  return rows[0];
}

/** The saga that a key was accepted for. */
export async function findByKey(pool: pg.Pool, saga: NewSaga): Promise<AcceptedSaga | undefined> {
  const { rows } = await pool.query<AcceptedSaga>({
    name: 'find-by-key',
    text: `select ${ACCEPTED_COLUMNS}, true as replayed from settle.saga
            where id = (select owner_id from settle.idempotency_key where tenant_id = $1 and kind = 'saga' and key = $2)`,
    values: [saga.tenantId, saga.idempotencyKey],
  });
  return rows[0];
}

/**
 * The fence before every `do`, and what makes an accepted saga a running one, and one that was handed over its workflow's.
 * A cancel that was accepted holds here too, however late its signal comes: no step that can be taken back begins after it.
 *
 * @throws FencedError with the recorded reason when the saga has decided to compensate, is to be cancelled, or has settled
 */
export async function enterForward(tx: Transaction, step: { sagaId: string; step: string }): Promise<void> {
  assertForward(step, await lockForward(tx, step.sagaId));
}

/** What the fence goes by, under the saga's lock. */
export interface ForwardStanding {
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly cancelReason: Reason | null;
  /** Read where it matters: when there is a cancel. */
  readonly plan: Plan | null;
}

/** The statement of {@link enterForward}: locks the saga, and makes one that goes forward a running one. */
export async function lockForward(tx: Transaction, sagaId: string): Promise<ForwardStanding | undefined> {
  const { rows } = await tx.query<ForwardStanding>({
    name: 'enter-forward',
    text: `with standing as (
             select id, state, reason, cancel_reason, case when cancel_reason is not null then plan end as plan,
                    state = 'accepted' or state = 'running' and handed_over_at is not null as is_new
               from settle.saga where id = $1 for no key update),
           entered as (
             update settle.saga set state = 'running', handed_over_at = null, updated_at = clock_timestamp()
              where id = $1 and (select is_new from standing))
           select state, reason, cancel_reason as "cancelReason", plan from standing`,
    values: [sagaId],
  });
  return rows[0];
}

/** The judgement of {@link enterForward}. */
export function assertForward(
  { sagaId, step }: { sagaId: string; step: string },
  saga: ForwardStanding | undefined,
): void {
  const isCancelled =
    saga?.plan && allSteps(saga.plan).some(({ name, kind }) => name === step && kind === 'compensatable');
  const standing = saga?.reason ?? (isCancelled ? saga.cancelReason : null);
  if (saga && !standing && !isTerminal(saga.state)) return;
  throw fencedBy(effectKey({ sagaId, step, action: 'do' }), saga && { state: saga.state, reason: standing ?? null });
}

/** A change of state that is not the end. */
export interface StateChange {
  readonly sagaId: string;
  readonly state: Exclude<SagaState, SagaOutcome | 'accepted'>;
  readonly reason?: Reason;
  /** With `parked`: which direction of the reason's step cannot succeed. @default 'do' */
  readonly action?: StepAction;
  /** The parked step that goes on; while others wait, the saga stays parked. @default all of them */
  readonly resumes?: string;
  /** With `compensating`: a parked step that an operator vouches has not been done, so that it does not keep the saga going forward. */
  readonly givesUp?: string;
}

/**
 * Records a change of state; repeating it changes nothing, and a settled saga stays as it is.
 * `reason` is why the saga compensates, and the first one recorded stays; why it is parked stands beside it.
 * The decision to compensate is the fence: what `begun` does not name will never be sent.
 */
export async function recordState(tx: Transaction, change: StateChange): Promise<StateRecord> {
  const { sagaId, state, reason, action = 'do', resumes, givesUp } = change;
  const standing = await lockSaga(tx, sagaId);
  if (!standing) return {};
  if (isTerminal(standing.state)) return { outcome: standing.state, reason: standing.reason ?? undefined };
  const begun = state === 'compensating' ? await findBegun(tx, sagaId) : [];
  if (state === 'compensating' && mustGoForward(standing, begun, givesUp)) return { mustGoForward: true };
  const { rows } = await tx.query<{ reason: Reason | null }>(
    `update settle.saga
        set state = case when $2 <> 'parked' and parked - $5::text <> '{}' then 'parked'
                         when $2 = 'running' and reason is not null then 'compensating' else $2 end,
            updated_at = clock_timestamp(),
            reason = case when $2 = 'parked' then reason else coalesce(reason, $3) end,
            parked = case when $2 <> 'parked' then coalesce(parked - $5::text, '{}')
                          when $6::text is null then parked
                          else parked || jsonb_build_object($6::text,
                                 $3::jsonb || jsonb_build_object('action', $4::text, 'at', clock_timestamp())) end,
            park_reason = case when $2 = 'parked' then $3::jsonb
                               else (select value - array['action', 'at'] from jsonb_each(parked - $5::text) limit 1) end
      where id = $1 returning reason`,
    [sagaId, state, reason ? JSON.stringify(reason) : null, action, resumes ?? null, reason?.step ?? null],
  );
  return { reason: rows[0]?.reason ?? undefined, begun: begun.map(({ step }) => step) };
}

interface Standing {
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly plan: Plan;
  /** Done as a step of another saga, which does not take it back. */
  readonly isHeld: boolean;
}

async function lockSaga(tx: Transaction, sagaId: string): Promise<Standing | undefined> {
  const { rows } = await tx.query<Standing>(
    `select state, reason, plan, held_at is not null and cancel_reason is null as "isHeld"
       from settle.saga where id = $1 for no key update`,
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
            where ${effectsOf('$1')} and action = 'do' and ${MAYBE_APPLIED}
           union all
           select step, true from settle.step_effect where ${effectsOf('$1')} and action = 'do' and status = 'applied'
           union all
           select parent_step, held_at is not null from settle.saga where ${childrenOf('$1')} and state <> 'compensated'`,
    values: [sagaId],
  });
  return rows;
}

/** Whether it may not compensate: it has passed what cannot be taken back, or only the saga that it is a step of may take it back. */
function mustGoForward({ reason, plan, isHeld }: Standing, begun: readonly Begun[], givesUp?: string): boolean {
  // what the ledger knows to be done nobody can vouch for otherwise: it was done since, e.g. by a workflow that was started anew
  const kept = begun.filter(({ step, isDone }) => isDone || step !== givesUp);
  return reason === null && (isHeld || hasPassedPivot(plan, kept));
}

function hasPassedPivot(plan: Plan, begun: readonly Begun[]): boolean {
  return allSteps(plan).some(({ name, kind, undo }) => {
    const trace = kind === 'compensatable' ? undefined : begun.find(({ step }) => step === name);
    // one that may have happened and has no undo can be neither taken back nor given up
    return trace !== undefined && (trace.isDone || undo === undefined);
  });
}

/**
 * The fence before every `undo`: a saga that has settled takes nothing back any more.
 *
 * @throws FencedError that says how it settled
 */
export async function assertOpen(tx: Transaction, effect: EffectId): Promise<void> {
  const { rows } = await tx.query<{ state: SagaState; reason: Reason | null }>({
    name: 'find-settled',
    text: 'select state, reason from settle.saga where id = $1 and finished_at is not null',
    values: [effect.sagaId],
  });
  if (rows[0]) throw fencedBy(effectKey(effect), rows[0]);
}

function fencedBy(key: string, saga: { state: SagaState; reason: Reason | null } | undefined): FencedError {
  const state = saga?.state;
  const reason = saga?.reason ?? { code: state ?? 'unknown-saga', message: 'the saga no longer goes forward' };
  return new FencedError(key, reason, state && isTerminal(state) ? state : undefined);
}

/** The workflow's input, as pinned at acceptance. */
export function startOf(saga: Omit<AcceptedSaga, 'replayed'>): SagaStart {
  return {
    sagaId: saga.id,
    tenantId: saga.tenantId,
    plan: saga.plan,
    input: saga.input,
    acceptedAtMs: saga.acceptedAtMs,
    mayRunAhead: true,
    ...(saga.parent && { parent: saga.parent }),
    ...(saga.traceparent && { traceparent: saga.traceparent }),
  };
}
