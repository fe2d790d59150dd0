import { homedir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../../../src/db/migrate.js';
import { seedCustomers } from '../../../src/db/orders.js';
import { seedInvoices } from '../../../src/db/payments.js';
import { startTestPostgres, type TestPostgres } from '../../../src/dev/postgres.js';
import { startTestTemporal, type TestTemporal } from '../../../src/dev/temporal-server.js';
import { migrateParticipants, seedParticipants } from '../../../src/samples/participants.js';
import { installJournal, type JournaledService } from './participant-journal.js';

/** The servers of one test file: they may be killed and started again, and hold many runs. */
export interface FaultServers {
  readonly postgres: TestPostgres;
  readonly temporal: TestTemporal;
  stop(): Promise<void>;
}

/** A service with a database; the profiles service is only there to be started, and keeps no journal. */
export type FaultService = JournaledService | 'profiles';

/** The database of each service; its template is migrated, seeded, and has its journal. */
export const DATABASE_OF: Readonly<Record<FaultService, string>> = {
  orders: 'settle',
  inventory: 'inventory',
  accounts: 'accounts',
  profiles: 'profiles',
};

/** Starts PostgreSQL and Temporal for fault tests: on ports and folders of their own. */
export async function startFaultServers(): Promise<FaultServers> {
  const templates = Object.values(DATABASE_OF).map((name) => `${name}_template`);
  const cacheDir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'settle');
  // one that has started is stopped when the other cannot
  const [postgres, temporal] = await Promise.allSettled([startTestPostgres(templates), startTestTemporal(cacheDir)]);
  const stop = async (): Promise<void> => {
    if (postgres.status === 'fulfilled') await postgres.value.stop();
    if (temporal.status === 'fulfilled') await temporal.value.remove();
  };
  try {
    const servers = { postgres: valueOf(postgres), temporal: valueOf(temporal), stop };
    await prepareTemplates(servers.postgres);
    return servers;
  } catch (error) {
    await stop();
    throw error;
  }
}

function valueOf<T>(settled: PromiseSettledResult<T>): T {
  if (settled.status === 'fulfilled') return settled.value;
  throw settled.reason as Error;
}

async function prepareTemplates(postgres: TestPostgres): Promise<void> {
  const url = (service: FaultService): string => postgres.url(`${DATABASE_OF[service]}_template`);
  const participants = {
    inventoryDatabaseUrl: url('inventory'),
    accountsDatabaseUrl: url('accounts'),
    profilesDatabaseUrl: url('profiles'),
  };
  await migrate(url('orders'));
  await migrateParticipants(participants);
  await seedParticipants(participants);
  for (const service of ['orders', 'inventory', 'accounts'] as const) {
    const pool = new pg.Pool({ connectionString: url(service), max: 1 });
    if (service === 'orders') {
      await seedCustomers(pool as unknown as pg.PoolClient);
      await seedInvoices(pool as unknown as pg.PoolClient);
    }
    await installJournal(pool, service);
    await pool.end();
  }
}

/** Creates the databases of a run from their templates; returns their URLs. */
export async function createRunDatabases(
  { postgres }: FaultServers,
  run: string,
): Promise<Readonly<Record<FaultService, string>>> {
  const client = new pg.Client({ connectionString: postgres.url('postgres') });
  await client.connect();
  try {
    for (const name of Object.values(DATABASE_OF)) {
      await client.query(`create database ${name}_${run} template ${name}_template strategy file_copy`);
    }
  } finally {
    await client.end();
  }
  const url = (service: FaultService): string => postgres.url(`${DATABASE_OF[service]}_${run}`);
  return { orders: url('orders'), inventory: url('inventory'), accounts: url('accounts'), profiles: url('profiles') };
}
