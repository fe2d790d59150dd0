import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { homedir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../../src/db/migrate.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { startTestPostgres } from '../../src/dev/postgres.js';
import { migrateParticipants } from '../../src/samples/participants.js';
import { eventually } from './eventually.js';

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
  const templates = ['producer', 'inventory', 'accounts'].map((name) => `${name}_template`);
  for (const name of templates) await client.query(`create database ${name}`);
  await migrate(server.url('producer_template'));
  await migrateParticipants({
    inventoryDatabaseUrl: server.url('inventory_template'),
    accountsDatabaseUrl: server.url('accounts_template'),
  });
  // a template can be copied only while nobody is connected to it
  for (const name of templates) await client.query(`alter database ${name} allow_connections false`);
  await client.end();
  return server.url('postgres');
}

async function startTemporal(): Promise<string> {
  const port = await findFreePorts(2);
  const cached = join(homedir(), '.cache/settle/temporal-1.5.1/temporal');
  const args = ['server', 'start-dev', '--port', `${port}`, '--headless', '--log-level', 'error'];
  const child = spawn(existsSync(cached) ? cached : 'temporal', args, { stdio: ['ignore', 'ignore', 'inherit'] });
  stops.push(() => endOf(child));
  await eventually(() => reach(port), { timeoutMs: 30_000 });
  return `127.0.0.1:${port}`;
}

function reach(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => resolve(void socket.destroy())).on('error', reject);
  });
}

function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill('SIGTERM');
  });
}
