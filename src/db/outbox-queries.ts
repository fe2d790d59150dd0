import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { messageEffectKey } from '../saga/ids.js';
import type { OutboxState } from '../saga/outbox.js';
import type { Transaction } from './pool.js';

/** An outbox message as its producer may see it. */
export interface OutboxMessageRecord {
  readonly type: string;
  readonly state: OutboxState;
  readonly orderKey: string | null;
  readonly attempts: number;
  readonly reason: Reason | null;
  readonly lastError: string | null;
  readonly createdAt: Date;
  /** When it is tried next; null once it is not. */
  readonly dueAt: Date | null;
  readonly finishedAt: Date | null;
}

/** One outbox message of a tenant, or undefined. */
export async function findOutboxMessage(
  pool: pg.Pool,
  { messageId, tenantId }: { readonly messageId: string; readonly tenantId: string },
): Promise<OutboxMessageRecord | undefined> {
  const { rows } = await pool.query<OutboxMessageRecord>({
    name: 'find-outbox-message',
    text: `select type, case status when 'sent' then 'delivered' when 'withdrawn' then 'discarded' else status end as state, order_key as "orderKey", attempts,
                  reason, last_error as "lastError", created_at as "createdAt", due_at as "dueAt", finished_at as "finishedAt"
             from settle.message_log where effect_key = $1 and tenant_id = $2 and saga_id is null`,
    values: [messageEffectKey(messageId), tenantId],
  });
  return rows[0];
}

/** What is open in the outbox. */
export interface OutboxCount {
  readonly pending: number;
  /** Of those, due for more than {@link OVERDUE}: the relay does not keep up, or does not run. */
  readonly overdue: number;
  readonly dead: number;
}

/** Longer than any attempt takes. */
const OVERDUE = '30 seconds';

/** Counts what is open, up to `atMost` of each; reads indexes of open messages only. */
export async function countOutbox(pool: pg.Pool, atMost: number): Promise<OutboxCount> {
  const { rows } = await pool.query<OutboxCount>(
    `select (select count(*) from (select from settle.message_log where due_at is not null limit $1) as o) as pending,
            (select count(*) from (select from settle.message_log
                                    where due_at < clock_timestamp() - interval '${OVERDUE}' and not is_queued limit $1) as o) as overdue,
            (select count(*) from (select from settle.message_log where saga_id is null and status = 'dead' limit $1) as o) as dead`,
    [atMost],
  );
  return rows[0]!;
}

/**
 * Sends a dead message again, under the same effect key and a higher revision, so that a participant that has refused it
 * looks at it anew. For an operator's hand: the relay takes it up as if it were new, but goes on counting its attempts, so that an
 * answer to an attempt of before is told from one to its own.
 *
 * @returns whether it was dead
 */
export async function resendOutboxMessage(db: Transaction, messageId: string): Promise<boolean> {
  const { rowCount } = await db.query({
    name: 'resend-outbox-message',
    text: `with resent as (
             update settle.message_log
                set status = 'pending', reason = null, due_at = clock_timestamp(), finished_at = null, first_sent_at = null,
                    -- one that holds this effect under another payload is not asked anew: that other one would pass for ours
                    revision = revision + case when reason ->> 'code' = 'effect-key-reused' then 0 else 1 end
              where effect_key = $1 and saga_id is null and status = 'dead' returning 1)
           select pg_notify('settle_outbox', '') from resent`,
    values: [messageEffectKey(messageId)],
  });
  return rowCount === 1;
}
