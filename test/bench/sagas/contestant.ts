import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { startChild, type Child } from '../../../src/dev/child.js';
import type { Roots } from './processes.js';
import type { Servers, Temporal } from './servers.js';

/** How an order ended. */
export interface End {
  readonly state: string;
  /** In ms since the epoch. */
  readonly atMs: number;
}

/** A contestant that runs. */
export interface Running {
  readonly name: string;
  /** Of its API. */
  readonly url: string;
  /** The processes that work for it. */
  roots(): Roots;
  /** Databases of which the log is its doing. */
  readonly walUrls: readonly string[];
  /** Orders that have not settled. */
  countOpen(): Promise<number>;
  /** How the orders that were accepted since then have settled; by order. */
  endsSince(ms: number): Promise<ReadonlyMap<string, End>>;
  /** How many events Temporal has stored for a saga; 0 where it has no workflow. */
  eventsOf(sagaId: string): Promise<number>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it again; resolves when it is ready. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** What to run as a contestant, and with which environment. */
export interface ProgramOptions {
  readonly servers: Servers;
  readonly name: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly port: number;
}

const READY_MS = 60_000;

/** A program that answers `GET /health/ready`. */
export interface Program {
  readonly url: string;
  pid(): number;
  kill(): Promise<void>;
  restart(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it; resolves when it is ready. */
export async function startProgram({ servers, name, args, env, port }: ProgramOptions): Promise<Program> {
  const { PATH = '', HOME = '' } = process.env;
  const url = `http://127.0.0.1:${port}`;
  const start = async (): Promise<Child> => {
    const child = await startChild({
      // nothing of our own environment but what a program needs to be found
      ...{ command: 'env', args: ['-i', ...assign({ PATH, HOME, ...env }), process.execPath, ...args] },
      ...{ logFile: join(servers.folder, `${name}.log`), cwd: process.cwd() },
    });
    servers.noteChild(child);
    await untilReady(child, url, name);
    return child;
  };
  let child = await start();
  return {
    url,
    pid: () => child.pid,
    kill: () => child.kill(),
    restart: async () => {
      child = await start();
    },
    stop: () => child.stop('SIGTERM', 20_000),
  };
}

/** The processes that work for a contestant of ours. */
export function rootsOf(servers: Servers, app: number, temporal?: Temporal): Roots {
  return {
    app,
    ...(servers.ledger.pid !== undefined && { ledger: servers.ledger.pid }),
    ...(temporal?.pid !== undefined && { server: temporal.pid }),
    ...(temporal?.store && { store: temporal.store.pid }),
    load: servers.load.pid,
  };
}

/** Gives `work` a connection of its own. */
export async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

/** The database of a contestant, empty where the server is ours. */
export async function createDatabase(servers: Servers, name: string, template?: string): Promise<string> {
  const { ledger } = servers;
  if (!ledger.isOwn) return ledger.url(name);
  const from = template === undefined ? '' : ` template ${pg.escapeIdentifier(template)} strategy file_copy`;
  await withClient(ledger.url('postgres'), (client) =>
    client.query(`create database ${pg.escapeIdentifier(name)}${from}`),
  );
  return ledger.url(name);
}

function assign(env: Readonly<Record<string, string>>): string[] {
  return Object.entries(env).map(([name, value]) => `${name}=${value}`);
}

async function untilReady(child: Child, url: string, name: string): Promise<void> {
  const end = Date.now() + READY_MS;
  while (!(await isReady(url))) {
    if (!child.isRunning()) throw new Error(`${name} ended: ${(await child.readLog()).slice(-2_000)}`);
    if (Date.now() > end) {
      await child.kill();
      throw new Error(`${name} was not ready within ${READY_MS} ms: ${(await child.readLog()).slice(-2_000)}`);
    }
    await Promise.race([pause(20), child.exited]);
  }
}

async function isReady(url: string): Promise<boolean> {
  try {
    const { status, body } = await fetch(`${url}/health/ready`);
    await body?.cancel();
    return status === 200;
  } catch {
    // it does not listen yet
    return false;
  }
}
