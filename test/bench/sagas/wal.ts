import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

/** How much a server has written to its log, and how often it waited for the disk. */
export interface Wal {
  readonly bytes: number;
  readonly syncs: number;
}

/** Idle connections of PostgreSQL tell what they did after ten seconds at the latest. */
const TOLD_MS = 10_500;

/**
 * Reads it; `NaN` where this user may not.
 *
 * @param settles whether to wait until the numbers hold everything that was done before
 */
export async function readWal(url: string, { settles }: { readonly settles: boolean }): Promise<Wal> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const bytes = await readNumber(client, `select pg_current_wal_lsn() - '0/0' as value`);
    if (settles) await pause(TOLD_MS);
    const syncs = await readNumber(client, `select sum(fsyncs) as value from pg_stat_io where object = 'wal'`);
    // before PostgreSQL 18 they were counted elsewhere
    return { bytes, syncs: syncs > 0 ? syncs : await readNumber(client, 'select wal_sync as value from pg_stat_wal') };
  } finally {
    await client.end();
  }
}

async function readNumber(client: pg.Client, query: string): Promise<number> {
  try {
    const { rows } = await client.query<{ value: string | null }>(query);
    return Number(rows[0]?.value ?? NaN);
  } catch {
    // another version, or no right to know
    return NaN;
  }
}
