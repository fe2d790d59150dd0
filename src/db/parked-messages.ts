import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { messageId } from '../saga/ids.js';
import { legalMessageActions, type AnyAction } from '../saga/operator.js';
import type { HalfMessageState, Verdict } from '../saga/half-message.js';
import { uuidOf } from '../saga/subject.js';
import type { ParkedQuestion } from './parked-items.js';
import type { Transaction } from './pool.js';

/** A message that belongs to no saga, as an operator needs to see it. */
export interface ParkedMessageRow {
  readonly id: string;
  readonly type: string;
  readonly parkReason: Reason;
  readonly since: Date;
  readonly attempts: number;
  readonly revision: number;
  readonly payload: unknown;
  readonly lastError: string | null;
  readonly actions: readonly AnyAction[];
}

interface Row extends Omit<ParkedMessageRow, 'actions'> {
  readonly state: HalfMessageState;
  readonly verdict: Verdict | null;
}

const ROW = `id, type, state, verdict, park_reason as "parkReason", updated_at as since, attempts, revision, payload,
  last_error as "lastError"`;

/** Parked half messages of a tenant, newest first. */
export async function listParkedMessages(
  pool: pg.Pool,
  { tenantId, filter, before, limit }: ParkedQuestion,
): Promise<readonly ParkedMessageRow[]> {
  const { rows } = await pool.query<Row>(
    `select ${ROW} from settle.half_message
      where tenant_id = $1 and state = 'parked' and ($2::text is null or id < $2)
        and ($4::text is null or id = $4) and ($5::text is null or type = $5)
        and ($6::text is null or park_reason ->> 'code' = $6)
        and ($7::float8 is null or updated_at <= clock_timestamp() - $7 * interval '1 ms')
      order by id desc limit $3`,
    [
      ...[tenantId, before === undefined ? null : messageId(uuidOf(before)), limit],
      ...[filter.id ?? null, filter.type ?? null, filter.reason ?? null, filter.olderThanMs ?? null],
    ],
  );
  return rows.map(messageOf);
}

/** A half message, locked until the transaction ends, and as an operator sees it if it is parked. */
export async function lockMessage(
  tx: Transaction,
  { tenantId, id }: { tenantId: string; id: string },
): Promise<{ readonly state: HalfMessageState; readonly parked?: ParkedMessageRow } | undefined> {
  const { rows } = await tx.query<Row>(
    `select ${ROW} from settle.half_message where id = $1 and tenant_id = $2 for no key update`,
    [id, tenantId],
  );
  const row = rows[0];
  return row && { state: row.state, parked: row.state === 'parked' ? messageOf(row) : undefined };
}

function messageOf({ state: _, verdict, ...message }: Row): ParkedMessageRow {
  return { ...message, actions: legalMessageActions(verdict !== null) };
}
