import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { AcceptedSaga } from './saga-store.js';

/** An open saga that is due for a look, and what it may lack. */
export interface DueSaga extends Omit<AcceptedSaga, 'replayed'> {
  /** Set when a cancel was requested that the workflow may not know of yet. */
  readonly cancelReason: Reason | null;
  /** Whether an event has come that the workflow may not know of yet. */
  readonly hasNews: boolean;
}

/**
 * Claims open sagas that are due, oldest first. Claiming sets the next look (3 s, doubling to 5 min), so that of many
 * scanners each saga is looked at by one, and one that is well costs less and less. One of the express lane is due when its lease
 * is over: claiming takes it from its process for good.
 *
 * @param limit how many at the most
 */
export async function claimDueSagas(pool: pg.Pool, limit: number): Promise<readonly DueSaga[]> {
  const { rows } = await pool.query<DueSaga>(
    `update settle.saga s
        set scans = scans + 1, due_at = clock_timestamp() + least(interval '3 seconds' * 2 ^ least(scans, 10), interval '5 minutes'),
            handed_over_at = case when leased_until is not null then clock_timestamp() else handed_over_at end, leased_until = null
       from (select id from settle.saga where due_at <= clock_timestamp() order by due_at limit $1 for update skip locked) as due
      where s.id = due.id
      returning s.id, tenant_id as "tenantId", request_hash as "requestHash", type, business_key as "businessKey", plan, input, state, traceparent,
                floor(extract(epoch from accepted_at) * 1000)::float8 as "acceptedAtMs",
                -- told a few times only: the ledger's fence holds anyway, and a history has its limits
                case when s.reason is null and s.scans <= 8 then cancel_reason end as "cancelReason",
                case when parent_id is not null then jsonb_build_object('sagaId', parent_id, 'step', parent_step) end as parent,
                s.scans <= 8 and exists (select from settle.awaited_event e
                  where e.saga_id = s.id and e.status = 'received' and e.taken_at is null
                ) as "hasNews"`,
    [limit],
  );
  return rows;
}

/** How many sagas wait for a workflow. */
export interface WaitingCount {
  readonly waiting: number;
  /** Of those, the ones that the express lane has given up. */
  readonly handedOver: number;
}

/** Counts them no further than `atMost`. */
export async function countWaiting(pool: pg.Pool, atMost: number): Promise<WaitingCount> {
  const { rows } = await pool.query<WaitingCount>(
    `select count(*) as waiting, count(*) filter (where is_handed_over) as "handedOver" from (
       select true as is_handed_over from settle.saga where state = 'running' and handed_over_at is not null
       union all
       select false from settle.saga where state = 'accepted'
       limit $1) as waiting`,
    [atMost],
  );
  return rows[0]!;
}

/** By then an acceptance can be seen by all. */
const VISIBLE_MS = 2_000;

/** How the sagas that wait for a workflow go on, of those that were accepted two seconds ago or before. */
export interface WaitingSagas {
  /** When it was looked, in ms since the epoch by the ledger's clock. */
  readonly atMs: number;
  /** Accepted, and not started; no further than asked. */
  readonly waiting: number;
  /** Of those, the ones that were so at the look before. */
  readonly left: number;
}

/**
 * Looks at the sagas that were never started.
 *
 * @param lastMs when it was looked before, in ms since the epoch by the ledger's clock
 */
export async function lookAtWaiting(pool: pg.Pool, lastMs: number, atMost: number): Promise<WaitingSagas> {
  const { rows } = await pool.query<WaitingSagas>({
    name: 'look-at-waiting',
    text: `select (extract(epoch from statement_timestamp()) * 1000)::float8 as "atMs", count(*) as waiting,
                  count(*) filter (where accepted_at <= to_timestamp(($1::float8 - $3) / 1000)) as left
             from (select accepted_at from settle.saga
                    where state = 'accepted' and accepted_at <= statement_timestamp() - $3 * interval '1 ms'
                    order by accepted_at limit $2) as waiting`,
    values: [lastMs, atMost, VISIBLE_MS],
  });
  return rows[0]!;
}

/** Makes sagas due again soon: nothing was learnt of them, so their next look must not be the later for it. */
export async function postponeBriefly(pool: pg.Pool, sagaIds: readonly string[]): Promise<void> {
  await pool.query(
    `update settle.saga set scans = 0, due_at = clock_timestamp() + interval '3 seconds' where id = any($1) and due_at is not null`,
    [sagaIds],
  );
}

/** Whether a saga is still open in the ledger: asked again before its workflow is started anew. */
export async function isOpen(pool: pg.Pool, sagaId: string): Promise<boolean> {
  const { rowCount } = await pool.query('select 1 from settle.saga where id = $1 and finished_at is null', [sagaId]);
  return rowCount === 1;
}

/** A planned step that open sagas still need, and how many of them. */
export interface OpenStep {
  readonly type: string;
  readonly step: string;
  readonly sagas: number;
}

/** The steps in the pinned plans of open sagas: a release must have code for each of them. */
export async function listOpenSteps(pool: pg.Pool): Promise<readonly OpenStep[]> {
  const { rows } = await pool.query<OpenStep>(
    `select type, step #>> '{}' as step, count(*) as sagas
       from settle.saga, jsonb_path_query(plan, 'strict $.items[*].**.name') as step
      where finished_at is null group by 1, 2 order by 1, 2`,
  );
  return rows;
}
