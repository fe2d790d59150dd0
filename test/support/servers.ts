import pg from 'pg';
import { loadConfig } from '../../src/config.js';
import { migrate } from '../../src/db/migrate.js';
import { startTestPostgres } from '../../src/dev/postgres.js';
import { startTestTemporal } from '../../src/dev/temporal-server.js';
import { migrateParticipants } from '../../src/samples/participants.js';

/**
 * Holds the servers of one Jest run: a PostgreSQL cluster with a migrated template of each database, and a Temporal
 * development server. It prints their addresses as one line of JSON and ends, with all of them and their files,
 * when its input closes: so a run that is killed leaves nothing behind either.
 */
const stops: (() => Promise<unknown>)[] = [];
let stopped: Promise<void> | undefined;

process.stdin.on('end', () => void end(0)).resume();
process.on('SIGTERM', () => void end(0));

try {
  const [postgresUrl, temporalAddress] = await Promise.all([startDatabases(), startTemporal()]);
  const addresses = { SETTLE_TEST_POSTGRES_URL: postgresUrl, SETTLE_TEST_TEMPORAL_ADDRESS: temporalAddress };
  process.stdout.write(`${JSON.stringify(addresses)}\n`);
} catch (error) {
  process.stderr.write(`the servers for the tests did not start: ${(error as Error).stack ?? String(error)}\n`);
  await end(1);
}

async function end(code: number): Promise<void> {
  stopped ??= Promise.allSettled(stops.map((stop) => stop())).then(() => undefined);
  await stopped;
  process.exit(code);
}

async function startDatabases(): Promise<string> {
  const server = await startTestPostgres([]);
  stops.push(() => server.stop());
  const client = new pg.Client(server.url('postgres'));
  await client.connect();
  const templates = ['producer', 'inventory', 'accounts', 'profiles'].map((name) => `${name}_template`);
  for (const name of templates) await client.query(`create database ${name}`);
  await migrate(server.url('producer_template'));
  await migrateParticipants({
    inventoryDatabaseUrl: server.url('inventory_template'),
    accountsDatabaseUrl: server.url('accounts_template'),
    profilesDatabaseUrl: server.url('profiles_template'),
  });
  // a template can be copied only while nobody is connected to it
  for (const name of templates) await client.query(`alter database ${name} allow_connections false`);
  await client.end();
  return server.url('postgres');
}

async function startTemporal(): Promise<string> {
  const server = await startTestTemporal(loadConfig().cacheDir);
  stops.push(() => server.remove());
  return server.address;
}
