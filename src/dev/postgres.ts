import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import {
  chownSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import pg from 'pg';
import { startChild } from './child.js';
import type { Child } from './child.js';
import { findFreePorts } from './ports.js';
import { findPostgres } from './postgres-binaries.js';
import type { PostgresBinaries, ServerUser } from './postgres-binaries.js';

/** The databases that the sample needs: one for the producer, one for each participant. */
export const DATABASES = ['settle', 'inventory', 'accounts', 'profiles'] as const;

export interface PostgresOptions {
  /** Absolute; holds `postgres/`, `postgres.password` and `postgres.log`. */
  readonly dataDir: string;
  readonly port: number;
  /** Created where missing. @default DATABASES */
  readonly databases?: readonly string[];
  /** Whether a power cut loses nothing; without, it is quicker and outlives killed processes only. @default true */
  readonly isDurable?: boolean;
  /** Told the server's process id as soon as there is one, before it answers. */
  readonly onSpawn?: (pid: number) => void;
}

/** A PostgreSQL server that listens on 127.0.0.1. */
export interface PostgresServer {
  readonly pid: number;
  readonly port: number;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** The URL of a database, with the password. */
  url(database: string): string;
  /** Lets clients go, writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL to the server and to all its processes. */
  kill(): Promise<void>;
}

const USER = 'settle';
const READY_MS = 60_000;
const STOP_MS = 20_000;

/**
 * Starts the server of `dataDir`, which it creates at the first start; resolves when it answers and has its databases.
 * Only who knows the password in `postgres.password` (readable by its owner alone) gets in: other users share 127.0.0.1.
 *
 * @throws Error, one line, when the port is in use or the server ends; it names the log
 */
export async function startPostgres(options: PostgresOptions): Promise<PostgresServer> {
  const { dataDir, port, databases = DATABASES, isDurable = true } = options;
  const binaries = findPostgres();
  mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  const password = await prepareCluster(dataDir, binaries, isDurable);
  const url = (database: string): string => `postgres://${USER}:${password}@127.0.0.1:${port}/${database}`;
  const logFile = join(dataDir, 'postgres.log');
  const child = await startChild({
    command: binaries.postgres,
    args: ['-D', join(dataDir, 'postgres'), ...serverSettings(port, isDurable)],
    logFile,
    cwd: join(dataDir, 'postgres'),
    user: binaries.user,
  });
  options.onSpawn?.(child.pid);
  try {
    await waitUntilReady(child, { url: url('postgres'), port, logFile });
    await createDatabases(url('postgres'), databases);
  } catch (cause) {
    await child.kill();
    throw cause;
  }
  return {
    ...{ pid: child.pid, port, url, exited: child.exited },
    stop: () => child.stop('SIGINT', STOP_MS),
    kill: () => child.kill(),
  };
}

/** A server for tests: its stop removes its folder. */
export interface TestPostgres extends PostgresServer {
  readonly dataDir: string;
  /** Starts it again after `kill`, on the same port with the same data. */
  restart(): Promise<void>;
}

/** Starts a server on a free port in a temporary folder; quick rather than durable: it outlives `kill`, not a power cut. */
export async function startTestPostgres(databases: readonly string[] = DATABASES): Promise<TestPostgres> {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-postgres-'));
  // the server may run as another user, who must be able to enter
  chmodSync(dataDir, 0o755);
  const start = async (port: number): Promise<PostgresServer> =>
    startPostgres({ dataDir, port, databases, isDurable: false });
  let server = await startOnFreePort(start);
  return {
    dataDir,
    port: server.port,
    get pid() {
      return server.pid;
    },
    get exited() {
      return server.exited;
    },
    url: (database) => server.url(database),
    kill: () => server.kill(),
    restart: async () => {
      server = await start(server.port);
    },
    stop: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** Another process may take a free port before the server does; then the next one is tried. */
async function startOnFreePort<T>(start: (port: number) => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await start(await findFreePorts());
    } catch (cause) {
      if (attempt === 3 || !(cause as Error).message.includes('is in use')) throw cause;
    }
  }
}

function serverSettings(port: number, isDurable: boolean): string[] {
  const settings = {
    port,
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    max_connections: 200,
    shared_buffers: '128MB',
    // sagas are short statements on few rows: compiling them costs more than it saves
    jit: 'off',
    log_checkpoints: 'off',
    // a killed parent's clients must not keep their locks for the two hours that TCP takes
    tcp_keepalives_idle: 30,
    // synchronous_commit stays on: without it a killed server forgets transactions that it had confirmed
    ...(isDurable ? {} : { fsync: 'off', full_page_writes: 'off' }),
  };
  return Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`]);
}

/** Creates the cluster where there is none; returns its password. */
async function prepareCluster(dataDir: string, binaries: PostgresBinaries, isDurable: boolean): Promise<string> {
  const passwordFile = join(dataDir, 'postgres.password');
  const cluster = join(dataDir, 'postgres');
  if (!existsSync(cluster)) {
    writeFileSync(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
    giveTo(binaries.user, passwordFile);
    // under another name until it is whole, so that an interrupted first start leaves nothing half-made
    const fresh = join(dataDir, 'postgres.new');
    rmSync(fresh, { recursive: true, force: true });
    mkdirSync(fresh, { mode: 0o700 });
    giveTo(binaries.user, fresh);
    await initialise(binaries, { fresh, passwordFile, isDurable });
    renameSync(fresh, cluster);
  }
  return readFileSync(passwordFile, 'utf8').trim();
}

async function initialise(
  { initdb, user }: PostgresBinaries,
  { fresh, passwordFile, isDurable }: { fresh: string; passwordFile: string; isDurable: boolean },
): Promise<void> {
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8'];
  const access = [`--username=${USER}`, `--pwfile=${passwordFile}`, '--auth=scram-sha-256'];
  const args = ['-D', fresh, ...locale, ...access, '--no-instructions', ...(isDurable ? [] : ['--no-sync'])];
  // 'C': the time zone and the messages do not depend on the machine's locales, which may not be installed
  const child = spawn(initdb, args, {
    cwd: fresh,
    ...user,
    detached: true,
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { LC_ALL: 'C' },
  });
  let complaint = '';
  child.stderr.on('data', (chunk: Buffer) => (complaint += chunk.toString('utf8')));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code !== 0)
    throw new Error(`PostgreSQL could not create its cluster in '${dirname(fresh)}': ${oneLine(complaint)}`);
}

function giveTo(user: ServerUser | undefined, path: string): void {
  if (user) chownSync(path, user.uid, user.gid);
}

async function waitUntilReady(
  child: Child,
  { url, port, logFile }: { url: string; port: number; logFile: string },
): Promise<void> {
  const end = Date.now() + READY_MS;
  while (!(await answers(url))) {
    if (!child.isRunning()) throw new Error(explain(await child.readLog(), port, logFile));
    if (Date.now() > end)
      throw new Error(`PostgreSQL did not answer within ${READY_MS / 1_000} s; its log is '${logFile}'`);
    await Promise.race([delay(30), child.exited]);
  }
  // whoever answers may be another server that has the port, while ours is about to give up
  if (!(await child.readLog()).includes('ready to accept connections')) await Promise.race([delay(500), child.exited]);
  if (!child.isRunning()) throw new Error(explain(await child.readLog(), port, logFile));
}

async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 2_000 });
  client.on('error', () => undefined);
  try {
    await client.connect();
    return true;
  } catch {
    // still starting, or not listening yet
    return false;
  } finally {
    await client.end().catch(() => undefined);
  }
}

function explain(log: string, port: number, logFile: string): string {
  if (log.includes('Address already in use'))
    return `port ${port}, for PostgreSQL, is in use; set SETTLE_POSTGRES_PORT to another`;
  const fatal = log.split('\n').findLast((line) => /FATAL|PANIC/.test(line)) ?? 'it gave no reason';
  return `PostgreSQL ended while it started: ${oneLine(fatal)}; its log is '${logFile}'`;
}

async function createDatabases(url: string, names: readonly string[]): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    for (const name of names) {
      await client.query(`create database ${pg.escapeIdentifier(name)}`).catch((cause: { code?: string }) => {
        // 42P04: it is there already
        if (cause.code !== '42P04') throw cause;
      });
    }
  } finally {
    await client.end();
  }
}

function oneLine(text: string): string {
  return text
    .trim()
    .split(/\s*\n\s*/)
    .slice(-3)
    .join(' | ');
}
