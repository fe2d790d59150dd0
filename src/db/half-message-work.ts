import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { Verdict } from '../saga/half-message.js';
import type { Transaction } from './pool.js';
import { AWAITED_MS, IS_AWAITED } from './replies.js';

/** How often one producer's host may be asked. */
export interface CheckRate {
  readonly perSecond: number;
  /** How many may go at once after a pause. */
  readonly burst: number;
}

/** A half message whose producer is to be asked, and whether it is its turn. */
export interface CheckTurn {
  readonly tenantId: string;
  readonly type: string;
  readonly checkBackUrl: string;
  /** How many messages its producer can be asked after in one request. */
  readonly batch: number;
  /** The Idempotency-Key that its producer prepared it under. */
  readonly key: string;
  readonly preparedAt: Date;
  /** Set when it was decided meanwhile: then nobody need be asked. */
  readonly verdict: Verdict | null;
  /** How long until its turn, in ms; 0: now. */
  readonly waitMs: number;
}

/**
 * Takes a turn at a producer's host, or says when the turn is that was taken before. A token bucket for all workers together:
 * its one row a host holds the turn given last, on the database's clock, so that neither a restart nor another worker adds to the rate.
 * A message that shares its request with others takes its share of a turn.
 *
 * @param host as in the message's check-back URL
 * @returns undefined when there is no such message
 */
export async function takeCheckTurn(
  pool: pg.Pool,
  messageId: string,
  { host, perSecond, burst }: CheckRate & { readonly host: string },
): Promise<CheckTurn | undefined> {
  const { rows } = await pool.query<CheckTurn>({
    name: 'take-check-turn',
    text: `with asked as (
             select $3::interval / coalesce((plan ->> 'batch')::int, 1) as share from settle.half_message
              where id = $1 and turn_at is null and verdict is null),
           turn as (
             insert into settle.check_back_host as h (host, turn_at)
             select $2, clock_timestamp() - $4 * $3::interval + share from asked
             on conflict (host) do update
                set turn_at = greatest(h.turn_at, clock_timestamp() - $4 * $3::interval) + (select share from asked)
             returning turn_at),
           taken as (
             update settle.half_message m set turn_at = turn.turn_at from turn where m.id = $1 returning m.turn_at)
           select tenant_id as "tenantId", type, check_back_url as "checkBackUrl", idempotency_key as key,
                  coalesce((plan ->> 'batch')::int, 1) as batch,
                  prepared_at as "preparedAt", verdict,
                  greatest(0, ceil(extract(epoch from
                    coalesce((select turn_at from taken), m.turn_at) - clock_timestamp()) * 1000))::float8 as "waitMs"
             from settle.half_message m where id = $1`,
    values: [messageId, host, `${1 / perSecond} seconds`, burst],
  });
  return rows[0];
}

/** The URL that a half message's producer is asked at, or undefined when there is no such message. */
export async function findCheckBackUrl(pool: pg.Pool, messageId: string): Promise<string | undefined> {
  const { rows } = await pool.query<{ url: string }>({
    name: 'find-check-back-url',
    text: 'select check_back_url as url from settle.half_message where id = $1',
    values: [messageId],
  });
  return rows[0]?.url;
}

/** Notes a check that brought no verdict, and gives its turn back. Only an answered one counts as a check. */
export async function recordCheck(
  pool: pg.Pool,
  messageId: string,
  { isAnswered, detail }: { readonly isAnswered: boolean; readonly detail: string },
): Promise<void> {
  await pool.query({
    name: 'record-check',
    text: `update settle.half_message
              set checks = checks + $2::int, silences = silences + 1 - $2::int, last_error = $3, turn_at = null,
                  -- asked after again, after it was parked
                  state = case when state = 'parked' and verdict is null then 'prepared' else state end,
                  park_reason = case when verdict is null then null else park_reason end,
                  updated_at = clock_timestamp()
            where id = $1 and finished_at is null`,
    values: [messageId, isAnswered ? 1 : 0, detail.slice(0, 500)],
  });
}

/** A confirmed message, to be sent. */
export interface ConfirmedMessage {
  readonly tenantId: string;
  readonly type: string;
  readonly payload: unknown;
  readonly revision: number;
  /** Whether an operator has confirmed that this revision may repeat its effect. */
  readonly mayRepeat: boolean;
  readonly recordedAt: Date;
  /** Delivered already, or given up by an operator. */
  readonly isDelivered: boolean;
  /** How long the answer to an earlier attempt is still waited for, in ms; 0: it is to be sent. */
  readonly awaitedMs: number;
}

/**
 * Begins an attempt to deliver a confirmed message, and counts it.
 *
 * @returns undefined when its producer has not confirmed it
 */
export async function claimDelivery(db: Transaction, messageId: string): Promise<ConfirmedMessage | undefined> {
  const { rows } = await db.query<ConfirmedMessage>({
    name: 'claim-delivery',
    text: `update settle.half_message
              set attempts = attempts + case when finished_at is null and not ${IS_AWAITED} then 1 else 0 end,
                  state = case state when 'parked' then 'confirmed' else state end, park_reason = null
            where id = $1 and verdict = 'committed'
            returning tenant_id as "tenantId", type, payload, revision,
                      coalesce(may_repeat = revision, false) as "mayRepeat", prepared_at as "recordedAt",
                      finished_at is not null as "isDelivered", ${AWAITED_MS} as "awaitedMs"`,
    values: [messageId],
  });
  return rows[0];
}

/** Records that the participant has applied a message; the first result stays. */
export async function recordDelivery(pool: pg.Pool, messageId: string, result: unknown): Promise<void> {
  await pool.query({
    name: 'record-delivery',
    text: `update settle.half_message
              set state = 'delivered', result = $2, last_error = null, due_at = null,
                  finished_at = clock_timestamp(), updated_at = clock_timestamp()
            where id = $1 and state = 'confirmed'`,
    values: [messageId, JSON.stringify(result ?? null)],
  });
}

/** Notes why an attempt to deliver brought no answer, for people to read. */
export async function recordDeliveryFailure(pool: pg.Pool, messageId: string, error: string): Promise<void> {
  await pool.query({
    name: 'record-delivery-failure',
    text: `update settle.half_message set last_error = $2, updated_at = clock_timestamp()
            where id = $1 and finished_at is null`,
    values: [messageId, error.slice(0, 500)],
  });
}

/**
 * Parks a half message.
 *
 * @param verdict the one that the caller knows of; when the ledger has another by now, nothing is parked
 * @returns the verdict in the ledger
 */
export async function parkHalfMessage(
  pool: pg.Pool,
  messageId: string,
  { reason, verdict }: { readonly reason: Reason; readonly verdict: Verdict | null },
): Promise<Verdict | null> {
  const parked = await pool.query<{ verdict: Verdict | null }>({
    name: 'park-half-message',
    text: `update settle.half_message
              set state = 'parked', park_reason = $2, updated_at = clock_timestamp()
            where id = $1 and finished_at is null and verdict is not distinct from $3
            returning verdict`,
    values: [messageId, JSON.stringify(reason), verdict],
  });
  if (parked.rows[0]) return parked.rows[0].verdict;
  const { rows } = await pool.query<{ verdict: Verdict | null }>(
    'select verdict from settle.half_message where id = $1',
    [messageId],
  );
  return rows[0]?.verdict ?? null;
}
