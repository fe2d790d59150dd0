import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { messageEffectKey } from '../saga/ids.js';
import { legalMessageActions } from '../saga/operator.js';
import { uuidOf } from '../saga/subject.js';
import type { ParkedQuestion } from './parked-items.js';
import type { ParkedMessageRow } from './parked-messages.js';
import type { Transaction } from './pool.js';

interface Row {
  readonly id: string;
  readonly type: string;
  readonly status: string;
  readonly reason: Reason | null;
  readonly since: Date;
  readonly attempts: number;
  readonly revision: number;
  readonly payload: unknown;
  readonly lastError: string | null;
}

const ROW = `'om_' || message_id as id, type, status, reason, coalesce(finished_at, created_at) as since, attempts, revision, payload,
  last_error as "lastError"`;

/** Dead letters of the outbox of a tenant, newest first. */
export async function listDeadMessages(
  pool: pg.Pool,
  { tenantId, filter, before, limit }: ParkedQuestion,
): Promise<readonly ParkedMessageRow[]> {
  const { rows } = await pool.query<Row>(
    `select ${ROW} from settle.message_log
      where tenant_id = $1 and saga_id is null and status = 'dead' and ($2::text is null or effect_key < $2)
        and ($4::text is null or effect_key = $4) and ($5::text is null or type = $5)
        and ($6::text is null or reason ->> 'code' = $6)
        and ($7::float8 is null or finished_at <= clock_timestamp() - $7 * interval '1 ms')
      order by effect_key desc limit $3`,
    [
      ...[tenantId, before === undefined ? null : `om_${uuidOf(before)}`, limit],
      ...[filter.id === undefined ? null : messageEffectKey(filter.id), filter.type ?? null],
      ...[filter.reason ?? null, filter.olderThanMs ?? null],
    ],
  );
  return rows.map(deadOf);
}

/** An outbox message, locked until the transaction ends, and as an operator sees it if it is dead. */
export async function lockOutboxMessage(
  tx: Transaction,
  { tenantId, id }: { tenantId: string; id: string },
): Promise<{ readonly status: string; readonly dead?: ParkedMessageRow } | undefined> {
  const { rows } = await tx.query<Row>(
    `select ${ROW} from settle.message_log where effect_key = $1 and tenant_id = $2 and saga_id is null for no key update`,
    [messageEffectKey(id), tenantId],
  );
  const row = rows[0];
  return row && { status: row.status, dead: row.status === 'dead' ? deadOf(row) : undefined };
}

function deadOf({ status: _, reason, ...row }: Row): ParkedMessageRow {
  const parkReason = reason ?? { code: 'dead', message: 'no reason is known' };
  return { ...row, parkReason, actions: legalMessageActions(true) };
}
