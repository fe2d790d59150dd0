import type pg from 'pg';

/** Whether a database has a table, e.g. `settle.saga`: it has been migrated. */
export async function hasTable(client: Pick<pg.Client, 'query'>, table: string): Promise<boolean> {
  const { rowCount } = await client.query('select where to_regclass($1) is not null', [table]);
  return rowCount === 1;
}
