import type pg from 'pg';
import { RejectedError, type Reason } from '../saga/errors.js';
import { effectKey } from '../saga/ids.js';
import type { Plan, PlanStep } from '../saga/plan.js';
import { MESSAGE_COLUMNS, type LoggedMessage } from './message-log.js';
import type { OwedMessage } from './local-effects.js';
import { together, withClient, withTransaction, type Transaction } from './pool.js';
import { MAY_COMPLETE, settleSaga } from './saga-end.js';
import { findByKey, recordState, START_GRACE, type AcceptedSaga, type NewSaga } from './saga-store.js';
import { storeOnce } from './store-once.js';

/** A saga to be accepted together with its first step. */
export interface ExpressStart {
  readonly saga: NewSaga;
  /** How long nobody else will run it, in ms. */
  readonly leaseMs: number;
  readonly step: PlanStep;
  /** The business work of that step; what it writes commits with the acceptance. */
  readonly work: (tx: Transaction) => Promise<unknown>;
  /** The messages that its result owes. */
  readonly owes: (result: unknown) => readonly OwedMessage[];
}

/** What became of a request. */
export type ExpressAcceptance =
  | {
      readonly kind: 'begun';
      readonly saga: AcceptedSaga;
      readonly result: unknown;
      /** Those that count as begun, by step. */
      readonly messages: ReadonlyMap<string, LoggedMessage>;
    }
  /** The first step refused: it is settled, or it was accepted before. */
  | { readonly kind: 'settled' | 'replayed'; readonly saga: AcceptedSaga };

/** As long as it holds, nobody but the process that accepted the saga has looked at it. */
const UNDER_LEASE = `leased_until is not null and state = 'running'`;

/**
 * Accepts a saga, runs its first step and writes what it owes, all in one transaction and few round trips, or finds the saga that the
 * same key was accepted for. The lease begins: until it ends only {@link settleExpress} and {@link handOver} move the saga on.
 *
 * @param pool one that pipelines
 * @throws whatever the work throws but a rejection that compensates; then nothing is stored
 */
export async function acceptExpress(pool: pg.Pool, start: ExpressStart): Promise<ExpressAcceptance> {
  return storeOnce(
    () => begin(pool, start),
    async () => {
      const saga = await findByKey(pool, start.saga);
      return saga && { kind: 'replayed', saga };
    },
  );
}

async function begin(pool: pg.Pool, start: ExpressStart): Promise<ExpressAcceptance | undefined> {
  try {
    return await withClient(pool, (client) => acceptAndWork(client, start));
  } catch (error) {
    // what cannot be given up parks instead, which is the workflow's matter
    if (!(error instanceof RejectedError) || start.step.kind === 'retriable') throw error;
    const reason: Reason = { code: error.code, message: error.message, step: start.step.name };
    return withClient(pool, (client) => acceptAndRefuse(client, start, reason));
  }
}

/** The work goes out behind the acceptance, whatever becomes of that: where the key was taken, both are rolled back. */
async function acceptAndWork(client: pg.PoolClient, start: ExpressStart): Promise<ExpressAcceptance | undefined> {
  // both have ended before anything is rolled back, or the rest of the work would run in no transaction
  const [opening, working] = await together(client, () =>
    Promise.allSettled([open(client, start), (async () => start.work(client))()]),
  );
  const acceptedAtMs = valueOf(opening);
  if (acceptedAtMs === undefined) return rollBack(client);
  // as the ledger will return it
  const result = JSON.parse(JSON.stringify(valueOf(working) ?? null)) as unknown;
  // whatever can fail on this side fails before the commit is on its way
  const insert = effectsOfFirst(start, result);
  const [{ rows }] = await together(client, () =>
    Promise.all([client.query<LoggedMessage & { readonly step: string }>(insert), client.query('commit')]),
  );
  const messages = new Map(rows.filter(({ attempts }) => attempts > 0).map((row) => [row.step, row]));
  return { kind: 'begun', saga: accepted(start, acceptedAtMs), result, messages };
}

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === 'rejected') throw settled.reason;
  return settled.value;
}

async function rollBack(client: pg.PoolClient): Promise<undefined> {
  await client.query('rollback');
}

/** Refused before anything was done: nothing has to be taken back, so that the saga settles where it was accepted. */
async function acceptAndRefuse(
  client: pg.PoolClient,
  start: ExpressStart,
  reason: Reason,
): Promise<ExpressAcceptance | undefined> {
  const acceptedAtMs = await open(client, start);
  if (acceptedAtMs === undefined) return rollBack(client);
  const { saga, step } = start;
  await client.query(
    `insert into settle.step_effect (effect_key, saga_id, step, action, status, result, reason) values ($1, $2, $3, 'do', 'rejected', 'null', $4)`,
    [effectKey({ sagaId: saga.id, step: step.name, action: 'do' }), saga.id, step.name, JSON.stringify(reason)],
  );
  await recordState(client, { sagaId: saga.id, state: 'compensating', reason });
  await settleSaga(client, { sagaId: saga.id, outcome: 'compensated', reason });
  await client.query('commit');
  return { kind: 'settled', saga: accepted(start, acceptedAtMs, reason) };
}

/** Opens a transaction, and in it the saga, unless its key is taken: then it returns undefined. */
async function open(client: pg.PoolClient, { saga, leaseMs }: ExpressStart): Promise<number | undefined> {
  const insert: pg.QueryConfig = {
    name: 'accept-express',
    text: `with key as (
             insert into settle.idempotency_key (tenant_id, kind, key, owner_id) values ($2, 'saga', $3, $1)
             on conflict (tenant_id, kind, key) do nothing returning owner_id),
           lease as (select owner_id, clock_timestamp() + $9 * interval '1 ms' as until from key)
           insert into settle.saga (id, tenant_id, idempotency_key, request_hash, type, business_key, plan, input, traceparent, state, leased_until, due_at)
           select owner_id, $2, $3, $4, $5, $6, $7, $8, $10, 'running', until, until from lease
           returning floor(extract(epoch from accepted_at) * 1000)::float8 as "acceptedAtMs"`,
    values: [
      ...[saga.id, saga.tenantId, saga.idempotencyKey, saga.requestHash, saga.type, saga.businessKey],
      ...[textOf(saga.plan), JSON.stringify(saga.input), leaseMs, saga.traceparent ?? null],
    ],
  };
  const [, { rows }] = await together(client, () =>
    Promise.all([client.query('begin'), client.query<{ acceptedAtMs: number }>(insert)]),
  );
  return rows[0]?.acceptedAtMs;
}

/** The statement that writes the record of the first step and the messages that it owes. */
function effectsOfFirst({ saga, step, owes }: ExpressStart, result: unknown): pg.QueryConfig {
  const owed = owes(result);
  const keyOf = (name: string): string => effectKey({ sagaId: saga.id, step: name, action: 'do' });
  return {
    name: 'insert-express-effects',
    text: `with effect as (
             insert into settle.step_effect (effect_key, saga_id, step, action, status, result) values ($1, $2, $3, 'do', 'applied', $4))
           insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload, attempts, first_sent_at)
           select key, $2, $5, step, 'do', type, payload, begun::int, case when begun then clock_timestamp() end
             from unnest($6::text[], $7::text[], $8::text[], $9::jsonb[], $10::boolean[]) as owed (key, step, type, payload, begun)
           returning step, ${MESSAGE_COLUMNS}`,
    values: [
      ...[keyOf(step.name), saga.id, step.name, JSON.stringify(result), saga.tenantId],
      owed.map(({ step: name }) => keyOf(name)),
      owed.map(({ step: name }) => name),
      owed.map(({ type }) => type),
      owed.map(({ payload }) => JSON.stringify(payload)),
      owed.map(({ isBegun }) => isBegun ?? false),
    ],
  };
}

function accepted({ saga }: ExpressStart, acceptedAtMs: number, reason: Reason | null = null): AcceptedSaga {
  const [state, status] = reason ? (['compensated', 'rejected'] as const) : (['running', 'applied'] as const);
  return { ...saga, state, acceptedAtMs, replayed: false, local: { status, reason } };
}

const texts = new WeakMap<Plan, string>();

/** Plans are frozen and few: written once, not for each saga. */
function textOf(plan: Plan): string {
  const text = texts.get(plan) ?? JSON.stringify(plan);
  texts.set(plan, text);
  return text;
}

/** A message that was answered: `done` with its result, and how long ago, in ms. */
export interface ExpressAnswer {
  readonly effectKey: string;
  readonly result: unknown;
  readonly ageMs: number;
}

/** A saga all of whose steps are done. */
export interface ExpressEnd {
  readonly sagaId: string;
  /** Of the messages that count as begun with the acceptance. */
  readonly answers: readonly ExpressAnswer[];
}

/**
 * Completes sagas, with the answers to their messages, in one transaction for all of them.
 *
 * @returns the ids of those that have completed: still under their lease, and neither cancelled nor decided otherwise
 */
export async function settleExpress(pool: pg.Pool, ends: readonly ExpressEnd[]): Promise<ReadonlySet<string>> {
  const answers = ends.flatMap((end) => end.answers);
  const { rows } = await pool.query<{ id: string }>({
    name: 'settle-express',
    text: `with settled as (
             update settle.saga
                set state = 'completed', due_at = null, updated_at = clock_timestamp(), finished_at = clock_timestamp()
              where id = any($1::text[]) and ${UNDER_LEASE} and reason is null and ${MAY_COMPLETE}
              returning id),
           answered as (
             update settle.message_log
                set status = 'sent', result = ($3::jsonb[])[array_position($2::text[], effect_key)], last_error = null,
                    finished_at = clock_timestamp() - ($4::float8[])[array_position($2::text[], effect_key)] * interval '1 ms'
              where effect_key = any($2::text[]) and status = 'pending' and saga_id in (select id from settled))
           select id from settled`,
    values: [
      ends.map(({ sagaId }) => sagaId),
      answers.map((answer) => answer.effectKey),
      answers.map(({ result }) => JSON.stringify(result ?? null)),
      answers.map(({ ageMs }) => ageMs),
    ],
  });
  return new Set(rows.map(({ id }) => id));
}

/** What is known of a message that counts as begun. */
export type ExpressFinding = { readonly effectKey: string } & (
  | { readonly status: 'sent'; readonly result: unknown; readonly ageMs: number }
  | { readonly status: 'rejected'; readonly reason: Reason; readonly ageMs: number }
  /** It brought no answer. */
  | { readonly status: 'pending'; readonly error: string }
  | { readonly status: 'unsent' }
);

/**
 * Gives a saga up to its workflow, with what is known of its messages: those that were never sent count as not begun again.
 * A cancel that was accepted meanwhile becomes the decision to compensate, as nothing is under way any more.
 *
 * @returns whether it was still this process's to give: then its workflow is to be started
 */
export async function handOver(
  pool: pg.Pool,
  { sagaId, findings }: { readonly sagaId: string; readonly findings: readonly ExpressFinding[] },
): Promise<boolean> {
  return withTransaction(pool, async (tx) => {
    const { rows } = await tx.query<{ cancelReason: Reason | null }>(
      `with mine as (
         update settle.saga
            set leased_until = null, handed_over_at = clock_timestamp(), due_at = clock_timestamp() + interval '${START_GRACE}'
          where id = $1 and ${UNDER_LEASE} returning cancel_reason),
       noted as (
         update settle.message_log m
            set status = case when f.status in ('sent', 'rejected') then f.status else 'pending' end,
                result = case when f.status = 'sent' then coalesce(f.result, 'null') end,
                reason = f.reason, last_error = f.error,
                attempts = case when f.status = 'unsent' then 0 else m.attempts end,
                first_sent_at = case when f.status <> 'unsent' then m.first_sent_at end,
                finished_at = case when f.status in ('sent', 'rejected') then clock_timestamp() - f."ageMs" * interval '1 ms' end
           from jsonb_to_recordset($2) as f ("effectKey" text, status text, result jsonb, reason jsonb, error text, "ageMs" float8), mine
          where m.effect_key = f."effectKey" and m.status = 'pending')
       select cancel_reason as "cancelReason" from mine`,
      [sagaId, JSON.stringify(findings)],
    );
    const mine = rows[0];
    if (mine?.cancelReason) await recordState(tx, { sagaId, state: 'compensating', reason: mine.cancelReason });
    return mine !== undefined;
  });
}

/** Whether a saga may still take a step that cannot be taken back: it is under its lease, and nobody wants it cancelled. */
export async function mayPassTurn(pool: pg.Pool, sagaId: string): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'may-pass-turn',
    text: `select from settle.saga where id = $1 and ${UNDER_LEASE} and cancel_reason is null`,
    values: [sagaId],
  });
  return rowCount === 1;
}
