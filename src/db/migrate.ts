import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { runner } from 'node-pg-migrate';
import { createAllPartitions } from './partitions.js';
import { LEDGER_TABLES } from './retention.js';

const FOLDER = fileURLToPath(new URL('./migrations/', import.meta.url));

/**
 * Brings the producer's database to this release. Many processes may start it at once: they queue on an advisory lock,
 * and each migration is one transaction. Then there are partitions for the weeks to come.
 *
 * @throws Error that names the migration, when one fails or when the database is newer than this release
 */
export async function migrate(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'settle-migrate',
  });
  await client.connect();
  try {
    await client.query("select pg_advisory_lock(hashtext('settle.migrate'))");
    await runner({
      dbClient: client,
      dir: FOLDER,
      direction: 'up',
      migrationsTable: 'settle_migration',
      migrationsSchema: 'public',
      singleTransaction: true,
      noLock: true,
      checkOrder: true,
      log: () => undefined,
    });
    await createAllPartitions(url, LEDGER_TABLES);
  } catch (cause) {
    const { database, host, port } = client;
    throw new Error(`migrating '${database ?? '?'}' on ${host}:${port} failed: ${(cause as Error).message}`, { cause });
  } finally {
    await client.end();
  }
}
