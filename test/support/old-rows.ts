import type pg from 'pg';
import { v7 } from 'uuid';
import { acceptSaga } from '../../src/db/saga-store.js';
import { sagaId } from '../../src/saga/ids.js';
import { newSaga } from './sagas.js';

/** Of a day, in ms. */
export const DAY_MS = 86_400_000;

/** An id as it would have been made some days ago. */
export function agedSagaId(days: number): string {
  return sagaId(v7({ msecs: Date.now() - days * DAY_MS }));
}

/** Accepts a saga as it would have been accepted some days ago, with an effect and a message of its own. */
export async function acceptAged(pool: pg.Pool, days: number, key?: string): Promise<string> {
  const id = agedSagaId(days);
  const saga = await acceptSaga(pool, newSaga({ id, idempotencyKey: key ?? id }));
  await pool.query(
    `insert into settle.step_effect (effect_key, saga_id, step, action, status) values ($1 || '/order/do', $1, 'order', 'do', 'applied')`,
    [saga.id],
  );
  await pool.query(
    `insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload, status)
     values ($1 || '/stock/do', $1, 'default', 'stock', 'do', 'inventory.deduct', '{}', 'sent')`,
    [saga.id],
  );
  return saga.id;
}

/** Settles sagas. */
export async function settle(pool: pg.Pool, ids: readonly string[]): Promise<void> {
  await pool.query(
    `update settle.saga set state = 'completed', finished_at = clock_timestamp(), due_at = null where id = any($1)`,
    [ids],
  );
}

/** How many rows of a saga each table of the ledger holds. */
export async function rowsOf(pool: pg.Pool, id: string): Promise<Record<string, number>> {
  const { rows } = await pool.query<Record<string, number>>(
    `select (select count(*) from settle.saga where id = $1) as saga,
            (select count(distinct saga_id) from settle.saga_event where saga_id = $1) as event,
            (select count(*) from settle.step_effect where saga_id = $1) as effect,
            (select count(*) from settle.message_log where saga_id = $1) as message,
            (select count(*) from settle.idempotency_key where owner_id = $1) as key`,
    [id],
  );
  return rows[0]!;
}

/** The partitions of a table, without its schema; the default one too. */
export async function partitionsOf(pool: pg.Pool, table: string): Promise<string[]> {
  const { rows } = await pool.query<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass order by 1`,
    [table],
  );
  return rows.map(({ name }) => name);
}
