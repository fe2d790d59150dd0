import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { messageEffectKey } from '../saga/ids.js';
import type { OutboxEnd, OutboxStart } from '../saga/outbox.js';
import { OUTBOX_CHANNEL, recordOutbox } from './outbox.js';
import type { Transaction } from './pool.js';
import { AWAITED_MS, IS_AWAITED } from './replies.js';

/** A message that a workflow is to deliver. */
export interface OutboxDelivery {
  readonly tenantId: string;
  readonly type: string;
  readonly payload: unknown;
  readonly revision: number;
  readonly mayRepeat: boolean;
  readonly recordedAt: Date;
  readonly isDelivered: boolean;
  readonly orderKey: string | null;
  /** How long the answer to an earlier attempt is still waited for, in ms; 0: it is to be sent. */
  readonly awaitedMs: number;
}

/**
 * Begins an attempt of a message's workflow, and counts it.
 *
 * @returns undefined when there is no such message, or when it is dead
 */
export async function claimOutboxDelivery(db: Transaction, messageId: string): Promise<OutboxDelivery | undefined> {
  const { rows } = await db.query<OutboxDelivery>({
    name: 'claim-outbox-delivery',
    text: `update settle.message_log
              set attempts = attempts + case when status = 'pending' and not ${IS_AWAITED} then 1 else 0 end
            where effect_key = $1 and saga_id is null and status in ('pending', 'sent')
            returning tenant_id as "tenantId", type, payload, revision, created_at as "recordedAt",
                      coalesce(may_repeat = revision, false) as "mayRepeat", status = 'sent' as "isDelivered",
                      order_key as "orderKey", ${AWAITED_MS} as "awaitedMs"`,
    values: [messageEffectKey(messageId)],
  });
  return rows[0];
}

/** Records that a participant has applied a message, and makes due what waited behind it; the first result stays. */
export async function recordOutboxDelivery(pool: pg.Pool, messageId: string, result: unknown): Promise<void> {
  const record = { effectKey: messageEffectKey(messageId), attempt: 0, move: { to: 'delivered', result } } as const;
  if ((await recordOutbox(pool, [record])) > 0) await pool.query(`select pg_notify('${OUTBOX_CHANNEL}', '')`);
}

/** Notes why an attempt brought no answer, for people to read. */
export async function recordOutboxFailure(pool: pg.Pool, messageId: string, error: string): Promise<void> {
  await pool.query({
    name: 'record-outbox-failure',
    text: `update settle.message_log set last_error = $2 where effect_key = $1 and saga_id is null and status = 'pending'`,
    values: [messageEffectKey(messageId), error],
  });
}

/**
 * Makes a message of a workflow's a dead letter, unless it has been delivered meanwhile, or an operator has given it to the relay.
 *
 * @returns what it is
 */
export async function buryOutboxMessage(pool: pg.Pool, messageId: string, reason: Reason): Promise<OutboxEnd['state']> {
  await pool.query({
    name: 'bury-outbox-message',
    text: `update settle.message_log
              set status = 'dead', reason = $2, due_at = null, leased_until = null, in_workflow = false,
                  finished_at = clock_timestamp()
            where effect_key = $1 and saga_id is null and status = 'pending' and in_workflow`,
    values: [messageEffectKey(messageId), JSON.stringify(reason)],
  });
  const { rows } = await pool.query<{ status: string }>(
    'select status from settle.message_log where effect_key = $1 and saga_id is null',
    [messageEffectKey(messageId)],
  );
  return rows[0]?.status === 'sent' ? 'delivered' : 'dead';
}

const START_COLUMNS = `'om_' || message_id as "messageId", tenant_id as "tenantId", type`;

/**
 * Claims messages that have, or are to have, a workflow of their own and are due for a look, oldest first.
 * Claiming sets the next look (3 s, doubling to 5 min).
 *
 * @param limit how many at the most
 */
export async function claimDueOutbox(pool: pg.Pool, limit: number): Promise<readonly OutboxStart[]> {
  const { rows } = await pool.query<OutboxStart>(
    `with due as (
       select effect_key as due_key from settle.message_log
        where due_at <= clock_timestamp() and in_workflow order by due_at limit $1 for update skip locked)
     update settle.message_log
        set scans = scans + 1,
            due_at = clock_timestamp() + least(interval '3 seconds' * 2 ^ least(scans, 10), interval '5 minutes')
       from due where effect_key = due_key returning ${START_COLUMNS}`,
    [limit],
  );
  return rows;
}

/** Gives messages back to the relay for one more attempt: their workflows cannot be started now. */
export async function returnToRelay(pool: pg.Pool, messageIds: readonly string[]): Promise<void> {
  await pool.query(
    `update settle.message_log
        set in_workflow = false, due_at = clock_timestamp() + (2 + 3 * random()) * interval '1 second'
      where effect_key = any($1) and due_at is not null and in_workflow`,
    [messageIds.map(messageEffectKey)],
  );
}

/** Longer than it takes another worker to go on with the scan. */
const UNATTENDED = '30 seconds';

/**
 * Gives messages back to the relay for one more attempt whose workflows nobody has looked after: the scan that starts them runs in
 * Temporal, and is away with it.
 *
 * @param limit how many at the most
 * @returns how many
 */
export async function returnUnattended(pool: pg.Pool, limit: number): Promise<number> {
  const { rowCount } = await pool.query(
    `update settle.message_log set in_workflow = false
      where effect_key = any (array(
        select effect_key from settle.message_log
         where due_at < clock_timestamp() - interval '${UNATTENDED}' and due_at is not null and in_workflow
         order by due_at limit $1 for update skip locked))`,
    [limit],
  );
  return rowCount ?? 0;
}

/** Whether a message is still to be delivered: asked again before its workflow is started anew. */
export async function isOutboxMessageOpen(pool: pg.Pool, messageId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    'select 1 from settle.message_log where effect_key = $1 and due_at is not null and in_workflow',
    [messageEffectKey(messageId)],
  );
  return rowCount === 1;
}
