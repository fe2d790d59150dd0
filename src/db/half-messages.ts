import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { CheckPlan, Decider, HalfMessageStart, HalfMessageState, Verdict } from '../saga/half-message.js';
import { storeOnce } from './store-once.js';

/** A half message as a producer asks for it. */
export interface NewHalfMessage {
  readonly id: string;
  readonly tenantId: string;
  readonly idempotencyKey: string;
  /** SHA-256 of the canonical request, so that the same key with another request can be told apart. */
  readonly requestHash: string;
  readonly type: string;
  readonly payload: unknown;
  readonly checkBackUrl: string;
  readonly plan: CheckPlan;
}

/** A half message as it was prepared. */
export interface PreparedMessage extends HalfMessageStart {
  readonly requestHash: string;
  /** Whether the key was accepted before: then this is that message, and the new one was not stored. */
  readonly replayed: boolean;
}

/** Which message of which tenant. */
export interface HalfMessageKey {
  readonly tenantId: string;
  readonly messageId: string;
}

/** A half message as people look at it. */
export interface HalfMessageRecord {
  readonly messageId: string;
  readonly type: string;
  readonly state: HalfMessageState;
  readonly verdict: Verdict | null;
  readonly decidedBy: Decider | null;
  readonly decidedAt: Date | null;
  readonly checkBackUrl: string;
  readonly checks: number;
  readonly silences: number;
  readonly attempts: number;
  readonly lastError: string | null;
  readonly parkReason: Reason | null;
  readonly preparedAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | null;
}

/** The verdict that stands, and what the workflow needs to hear of it. */
export interface StandingVerdict extends HalfMessageStart {
  readonly verdict: Verdict;
  readonly decidedBy: Decider;
  readonly decidedAt: Date;
  /** Whether it was given by this call. */
  readonly isNew: boolean;
}

const START_COLUMNS = `id as "messageId", tenant_id as "tenantId", type, plan, verdict,
  floor(extract(epoch from prepared_at) * 1000)::float8 as "preparedAtMs"`;
const DECIDED_COLUMNS = `${START_COLUMNS}, decided_by as "decidedBy", decided_at as "decidedAt"`;

/** What nobody has told Temporal of by then is told by the scan. */
const START_GRACE = '3 seconds';

/** Stores a half message, or finds the one that the same key was accepted for. */
export async function prepareHalfMessage(pool: pg.Pool, message: NewHalfMessage): Promise<PreparedMessage> {
  return storeOnce(
    () => insertPrepared(pool, message),
    () => findByKey(pool, message),
  );
}

async function insertPrepared(pool: pg.Pool, message: NewHalfMessage): Promise<PreparedMessage | undefined> {
  const { rows } = await pool.query<PreparedMessage>({
    name: 'prepare-half-message',
    text: `with key as (
             insert into settle.idempotency_key (tenant_id, kind, key, owner_id) values ($2, 'message', $3, $1)
             on conflict (tenant_id, kind, key) do nothing returning owner_id)
           insert into settle.half_message
             (id, tenant_id, idempotency_key, request_hash, type, payload, check_back_url, plan, due_at)
           select owner_id, $2, $3, $4, $5, $6, $7, $8, clock_timestamp() + interval '${START_GRACE}' from key
           returning ${START_COLUMNS}, request_hash as "requestHash", false as replayed`,
    values: [
      message.id,
      message.tenantId,
      message.idempotencyKey,
      message.requestHash,
      message.type,
      JSON.stringify(message.payload),
      message.checkBackUrl,
      JSON.stringify(message.plan),
    ],
  });
  return rows[0];
}

async function findByKey(
  pool: pg.Pool,
  { tenantId, idempotencyKey }: NewHalfMessage,
): Promise<PreparedMessage | undefined> {
  const { rows } = await pool.query<PreparedMessage>({
    name: 'find-prepared-by-key',
    text: `select ${START_COLUMNS}, request_hash as "requestHash", true as replayed from settle.half_message
            where id = (select owner_id from settle.idempotency_key where tenant_id = $1 and kind = 'message' and key = $2)`,
    values: [tenantId, idempotencyKey],
  });
  return rows[0];
}

/**
 * Gives a verdict; the first one stands for ever, whoever gives it.
 *
 * @returns the verdict that stands, or undefined when there is no such message
 */
export async function decideHalfMessage(
  pool: pg.Pool,
  { messageId, tenantId }: HalfMessageKey,
  { verdict, by }: { readonly verdict: Verdict; readonly by: StandingVerdict['decidedBy'] },
): Promise<StandingVerdict | undefined> {
  const given = await pool.query<StandingVerdict>({
    name: 'decide-half-message',
    text: `update settle.half_message
              set verdict = $3, decided_by = $4, decided_at = clock_timestamp(), updated_at = clock_timestamp(),
                  state = case $3 when 'committed' then 'confirmed' else 'rolled-back' end,
                  finished_at = case $3 when 'rolled-back' then clock_timestamp() end,
                  due_at = case $3 when 'committed' then clock_timestamp() + interval '${START_GRACE}' end,
                  park_reason = null, scans = 0
            where id = $1 and tenant_id = $2 and verdict is null
            returning ${DECIDED_COLUMNS}`,
    values: [messageId, tenantId, verdict, by],
  });
  if (given.rows[0]) return { ...given.rows[0], isNew: true };
  const { rows } = await pool.query<StandingVerdict>({
    name: 'find-verdict',
    text: `select ${DECIDED_COLUMNS} from settle.half_message where id = $1 and tenant_id = $2`,
    values: [messageId, tenantId],
  });
  return rows[0] && { ...rows[0], isNew: false };
}

/** One half message of a tenant, or undefined. */
export async function findHalfMessage(
  pool: pg.Pool,
  { messageId, tenantId }: HalfMessageKey,
): Promise<HalfMessageRecord | undefined> {
  const { rows } = await pool.query<HalfMessageRecord>({
    name: 'find-half-message',
    text: `select id as "messageId", type, state, verdict, decided_by as "decidedBy", decided_at as "decidedAt",
                  check_back_url as "checkBackUrl", checks, silences, attempts, last_error as "lastError",
                  park_reason as "parkReason", prepared_at as "preparedAt", updated_at as "updatedAt",
                  finished_at as "finishedAt"
             from settle.half_message where id = $1 and tenant_id = $2`,
    values: [messageId, tenantId],
  });
  return rows[0];
}

/** How many half messages are open, by state. Reads the index of open ones only. */
export async function countOpenHalfMessages(pool: pg.Pool): Promise<ReadonlyMap<HalfMessageState, number>> {
  const { rows } = await pool.query<{ state: HalfMessageState; count: number }>(
    'select state, count(*) from settle.half_message where finished_at is null group by state',
  );
  return new Map(rows.map(({ state, count }) => [state, count]));
}

/** An open half message that is due for a look. */
export interface DueHalfMessage extends HalfMessageStart {
  /** Whether its workflow has surely heard of the verdict; one that is started anew has it from the start. */
  readonly isTold: boolean;
}

/**
 * Claims open half messages that are due, oldest first. Claiming sets the next look (3 s, doubling to 5 min).
 *
 * @param limit how many at the most
 */
export async function claimDueHalfMessages(pool: pg.Pool, limit: number): Promise<readonly DueHalfMessage[]> {
  const { rows } = await pool.query<DueHalfMessage>(
    `with due as (
       select id as due_id from settle.half_message
        where due_at <= clock_timestamp() order by due_at limit $1 for update skip locked)
     update settle.half_message
        set scans = scans + 1,
            due_at = clock_timestamp() + least(interval '3 seconds' * 2 ^ least(scans, 10), interval '5 minutes')
       from due where id = due_id
      -- told a few times only: what waits for a person is looked at for ever, and a history has its limits
      returning ${START_COLUMNS}, scans > 8 as "isTold"`,
    [limit],
  );
  return rows;
}

/** Makes half messages due again soon: nothing was learnt of them, so their next look must not be the later for it. */
export async function postponeHalfMessages(pool: pg.Pool, messageIds: readonly string[]): Promise<void> {
  await pool.query(
    `update settle.half_message set scans = 0, due_at = clock_timestamp() + interval '3 seconds'
      where id = any($1) and due_at is not null`,
    [messageIds],
  );
}

/** Whether a half message is still open in the ledger: asked again before its workflow is started anew. */
export async function isHalfMessageOpen(pool: pg.Pool, messageId: string): Promise<boolean> {
  const { rowCount } = await pool.query('select 1 from settle.half_message where id = $1 and finished_at is null', [
    messageId,
  ]);
  return rowCount === 1;
}
