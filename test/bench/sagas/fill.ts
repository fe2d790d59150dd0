import type pg from 'pg';
import { withClient } from './contestant.js';

/** The rows of one saga in each table, and the column that its id, or what begins with it, is in. */
const TABLES = {
  'settle.saga': 'id',
  'settle.idempotency_key': 'owner_id',
  'settle.saga_event': 'saga_id',
  'settle.step_effect': 'saga_id',
  'settle.message_log': 'saga_id',
  'shop.orders': 'saga_id',
} as const;

/** Copied in one go. */
const BATCH = 100_000;

/**
 * Fills a ledger with settled sagas: copies of one that has really run, row for row, under ids of their own. They lie in the present week,
 * where new ones go.
 *
 * @param sagas how many there are to be in all, at least
 */
export async function fillLedger(url: string, sagas: number): Promise<void> {
  await withClient(url, async (client) => {
    const { rows } = await client.query<{ count: string; sample: string; order: string }>(
      `select count(*), max(id) as sample, max(business_key) as order from settle.saga where state = 'completed'`,
    );
    const { count, sample, order } = rows[0]!;
    // no trigger writes what is copied, and nobody waits for the disk: the checkpoint at the end does
    await client.query(`set session_replication_role = replica; set synchronous_commit = off; set work_mem = '64MB'`);
    await client.query('create temp table fresh (saga_id text, order_id text)');
    for (let left = sagas - Number(count); left > 0; left -= BATCH) {
      await client.query('truncate fresh');
      await client.query(
        `insert into fresh select 'sg_' || settle.uuid_v7(), 'ord_' || settle.uuid_v7()
           from generate_series(1, $1::int)`,
        [Math.min(left, BATCH)],
      );
      for (const [table, key] of Object.entries(TABLES)) {
        const columns = await columnsOf(client, table);
        await client.query(
          `insert into ${table} (${columns.map(({ name }) => name).join(', ')})
           select ${columns.map(copyOf).join(', ')} from fresh, ${table} as made where made.${key} = $1`,
          [sample, order],
        );
      }
    }
    await client.query('reset session_replication_role');
    for (const table of Object.keys(TABLES)) await client.query(`vacuum analyze ${table}`);
    await client.query('checkpoint');
  });
}

interface Column {
  readonly name: string;
  readonly type: string;
}

/** Those that a copy does not get by itself. */
async function columnsOf(client: pg.Client, table: string): Promise<readonly Column[]> {
  const { rows } = await client.query<Column>(
    `select column_name as name, udt_name as type from information_schema.columns
      where table_schema || '.' || table_name = $1 and is_identity = 'NO'
        and coalesce(column_default, '') not like all (array['nextval%', 'pg_current_xact_id%'])`,
    [table],
  );
  return rows;
}

/** The column with the copy's ids in the place of the sample's; `$1` and `$2` are those of its saga and of its order. */
function copyOf({ name, type }: Column): string {
  if (name === 'key' || name === 'idempotency_key') return 'fresh.saga_id';
  if (type === 'uuid') return 'gen_random_uuid()';
  if (type !== 'text' && type !== 'jsonb') return `made.${name}`;
  return `replace(replace(made.${name}::text, $1, fresh.saga_id), $2, fresh.order_id)::${type}`;
}
