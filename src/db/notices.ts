import type pg from 'pg';
import type { Notice, StuckCause } from '../saga/notice.js';
import type { OpenSaga } from '../saga/stuck.js';

const COLUMNS = `id, tenant_id as "tenantId", type, subject_id as "subjectId", cause, data, at`;

/** A notice that a webhook is to be told of. */
export interface DueNotice extends Notice {
  /** Attempts before this one. */
  readonly attempts: number;
}

/** Longer than one attempt may take: what a process that died has claimed is due again after it. */
const LEASE = '30 seconds';

/** Claims notices that the webhook is to hear of, oldest first. Of many claimers each notice has one. */
export async function claimDueNotices(pool: pg.Pool, limit: number): Promise<readonly DueNotice[]> {
  const { rows } = await pool.query<DueNotice>(
    `update settle.notice n set attempts = attempts + 1, due_at = clock_timestamp() + interval '${LEASE}'
       from (select id as due_id from settle.notice where due_at <= clock_timestamp() order by due_at limit $1 for update skip locked) as due
      where n.id = due.due_id returning ${COLUMNS}, attempts - 1 as attempts`,
    [limit],
  );
  return rows;
}

/** What became of an attempt to tell the webhook. */
export type NoticeOutcome =
  | { readonly kind: 'delivered' }
  /** To be tried again after a while, in ms. */
  | { readonly kind: 'failed'; readonly error: string; readonly retryMs: number }
  /** The horizon is over, or the other side wants no more of it. */
  | { readonly kind: 'given-up'; readonly error: string };

/** Records an attempt; a notice that was delivered meanwhile stays so. */
export async function recordNotice(pool: pg.Pool, id: string, outcome: NoticeOutcome): Promise<void> {
  const error = outcome.kind === 'delivered' ? null : outcome.error.slice(0, 500);
  await pool.query(
    `update settle.notice
        set delivered_at = case when $2 = 'delivered' then clock_timestamp() end,
            given_up_at = case when $2 = 'given-up' then clock_timestamp() end,
            due_at = case when $2 = 'failed' then clock_timestamp() + $3 * interval '1 ms' end, last_error = $4
      where id = $1 and delivered_at is null and given_up_at is null`,
    [id, outcome.kind, outcome.kind === 'failed' ? outcome.retryMs : 0, error],
  );
}

/** An open saga that may be stuck. */
export interface SuspectSaga extends OpenSaga {
  readonly id: string;
}

/** Open sagas older than a grace that nobody has been told of for this cause yet; after the last one of the page before. */
export async function listSuspects(
  pool: pg.Pool,
  { graceMs, after, limit }: { graceMs: number; after: string; limit: number },
): Promise<readonly SuspectSaga[]> {
  const { rows } = await pool.query<SuspectSaga>(
    `select id, state, plan,
            floor(extract(epoch from case when held_at is null then accepted_at else updated_at end) * 1000)::float8 as "sinceMs"
       from settle.saga s
      where finished_at is null and state <> 'parked' and accepted_at < clock_timestamp() - $1 * interval '1 ms' and id > $2
        and not exists (select from settle.notice n where n.type = 'saga.stuck' and n.subject_id = s.id
                           and n.cause = case s.state when 'accepted' then 'not-started' else 'overdue' end)
      order by id limit $3`,
    [graceMs, after, limit],
  );
  return rows;
}

/** Writes that a saga is stuck, once for each cause, and only while it is in the state that was looked at. */
export async function reportStuck(
  pool: pg.Pool,
  { id, state, cause }: { id: string; state: string; cause: StuckCause },
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `insert into settle.notice (tenant_id, type, subject_id, cause, data)
     select tenant_id, 'saga.stuck', id, $3,
            jsonb_build_object('id', id, 'type', type, 'businessKey', business_key, 'state', state, 'since', accepted_at)
       from settle.saga where id = $1 and state = $2
     on conflict (subject_id, cause) where type = 'saga.stuck' do nothing`,
    [id, state, cause],
  );
  return rowCount === 1;
}

/** How many sagas are stuck now, and why. */
export interface StuckCount {
  readonly type: string;
  readonly cause: StuckCause | 'parked';
  readonly count: number;
}

/** Counts the sagas that are stuck now. */
export async function countStuck(pool: pg.Pool): Promise<readonly StuckCount[]> {
  const { rows } = await pool.query<StuckCount>(
    `select type, 'parked' as cause, count(*) from settle.saga where state = 'parked' and finished_at is null group by type
     union all
     select s.type, n.cause, count(*) from settle.notice n join settle.saga s on s.id = n.subject_id
      where n.type = 'saga.stuck' and s.finished_at is null and s.state <> 'parked'
        and (n.cause = 'overdue' or s.state = 'accepted') group by s.type, n.cause`,
  );
  return rows;
}

/** How the webhook stands. */
export interface NoticeCount {
  /** Still to be delivered. */
  readonly pending: number;
  readonly givenUp: number;
}

/** Counts what the webhook has not been told. */
export async function countNotices(pool: pg.Pool): Promise<NoticeCount> {
  const { rows } = await pool.query<NoticeCount>(
    `select (select count(*) from settle.notice where due_at is not null) as pending,
            (select count(*) from settle.notice where given_up_at is not null) as "givenUp"`,
  );
  return rows[0]!;
}

/** A place in the order of a tenant's notices. */
export interface NoticePlace {
  readonly txid: string;
  readonly id: string;
}

/** The notices of a tenant after a place. Only of transactions before which none is open: a slower one must not be skipped. */
export async function listNoticesAfter(
  pool: pg.Pool,
  { tenantId, after, limit }: { tenantId: string; after: NoticePlace; limit: number },
): Promise<readonly (Notice & { readonly place: NoticePlace })[]> {
  const { rows } = await pool.query<Notice & { readonly txid: string }>(
    `select ${COLUMNS}, txid::text as txid from settle.notice
      where tenant_id = $1 and (txid, id) > ($2::text::xid8, $3) and txid < pg_snapshot_xmin(pg_current_snapshot())
      order by txid, id limit $4`,
    [tenantId, after.txid, after.id, limit],
  );
  return rows.map(({ txid, ...notice }) => ({ ...notice, place: { txid, id: notice.id } }));
}

/** Where the notices of a tenant end now. */
export async function lastNoticePlace(pool: pg.Pool): Promise<NoticePlace> {
  const { rows } = await pool.query<{ txid: string }>('select pg_snapshot_xmin(pg_current_snapshot())::text as txid');
  // before every id of that transaction
  return { txid: rows[0]!.txid, id: '' };
}
