import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { startChild } from './child.js';
import type { Child } from './child.js';
import { findFreePorts } from './ports.js';
import { findTemporalCli } from './temporal-cli.js';

export interface TemporalOptions {
  /** Of the Temporal CLI, from `findTemporalCli`. */
  readonly command: string;
  /** Absolute; holds `temporal.db` and `temporal.log`. */
  readonly dataDir: string;
  readonly port: number;
  readonly uiPort: number;
  /** Created besides `default`. */
  readonly namespace?: string;
  /** Told the server's process id as soon as there is one, before it answers. */
  readonly onSpawn?: (pid: number) => void;
}

/** A Temporal development server that listens on 127.0.0.1. */
export interface TemporalServer {
  readonly pid: number;
  /** `host:port`. */
  readonly address: string;
  readonly uiUrl: string;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** Lets what is under way finish, 10 s at the most. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const READY_MS = 60_000;
const STOP_MS = 10_000;

/**
 * Starts the development server of `dataDir`; resolves when it can start workflows. The worker registers the search attributes,
 * as it does on any server.
 * Its store outlives a killed process, not a power cut: SQLite's own waiting for the disk made it three times slower.
 * The ledger rebuilds what is lost.
 *
 * @throws Error, one line, when a port is in use or the server ends; it names the log
 */
export async function startTemporal(options: TemporalOptions): Promise<TemporalServer> {
  const { command, dataDir, port, uiPort } = options;
  mkdirSync(dataDir, { recursive: true });
  const logFile = join(dataDir, 'temporal.log');
  const child = await startChild({ command, args: argumentsOf(options), logFile, cwd: dataDir });
  options.onSpawn?.(child.pid);
  const address = `127.0.0.1:${port}`;
  try {
    await waitUntilReady(child, { ...options, address, logFile });
  } catch (cause) {
    await child.kill();
    throw cause;
  }
  return {
    pid: child.pid,
    address,
    uiUrl: `http://127.0.0.1:${uiPort}`,
    exited: child.exited,
    stop: () => child.stop('SIGTERM', STOP_MS),
    kill: () => child.kill(),
  };
}

/** A server for tests: its stop removes its folder. */
export interface TestTemporal extends TemporalServer {
  readonly dataDir: string;
  /** Starts it again after `stop` or `kill`, on the same ports; `isEmpty`: with its store lost. */
  restart(options?: { readonly isEmpty?: boolean }): Promise<void>;
  /** Stops it and removes its folder. */
  remove(): Promise<void>;
}

/**
 * Starts a server on free ports in a temporary folder.
 *
 * @param cacheDir where the CLI is cached, `Config.cacheDir`
 */
export async function startTestTemporal(cacheDir: string): Promise<TestTemporal> {
  const command = await findTemporalCli({ cacheDir, progress: (line) => void process.stderr.write(`${line}\n`) });
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-temporal-'));
  chmodSync(dataDir, 0o755);
  const start = async (port: number): Promise<TemporalServer> =>
    startTemporal({ command, dataDir, port, uiPort: port + 1 });
  const firstPort = await findFreePorts(2);
  let server = await start(firstPort);
  return {
    dataDir,
    get pid() {
      return server.pid;
    },
    get exited() {
      return server.exited;
    },
    address: server.address,
    uiUrl: server.uiUrl,
    stop: () => server.stop(),
    kill: () => server.kill(),
    restart: async ({ isEmpty = false } = {}) => {
      for (const file of isEmpty ? ['', '-wal', '-shm'] : [])
        rmSync(join(dataDir, `temporal.db${file}`), { force: true });
      server = await start(firstPort);
    },
    remove: async () => {
      await server.stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

function argumentsOf({ dataDir, port, uiPort, namespace }: TemporalOptions): string[] {
  return [
    ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', String(port), '--ui-port', String(uiPort)],
    ...['--db-filename', join(dataDir, 'temporal.db'), '--sqlite-pragma', 'synchronous=off', '--log-level', 'error'],
    // what this user has set up for other servers must not reach ours
    ...['--disable-config-file', '--disable-config-env'],
    ...(namespace === undefined || namespace === 'default' ? [] : ['--namespace', namespace]),
  ];
}

type Target = TemporalOptions & { readonly address: string; readonly logFile: string };

async function waitUntilReady(child: Child, target: Target): Promise<void> {
  const { namespace = 'default', logFile } = target;
  const end = Date.now() + READY_MS;
  while (!(await isReady(target.address, namespace))) {
    if (!child.isRunning()) throw new Error(explain(await child.readLog(), target));
    if (Date.now() > end)
      throw new Error(`Temporal did not answer within ${READY_MS / 1_000} s; its log is '${logFile}'`);
    await Promise.race([delay(50), child.exited]);
  }
  // whoever answers may be another server that has the port, while ours is about to give up
  if (!(await child.readLog()).includes('Server:')) await Promise.race([delay(1_000), child.exited]);
  if (!child.isRunning()) throw new Error(explain(await child.readLog(), target));
}

/** It answers health checks before it knows its namespaces; only then can workflows start. */
async function isReady(address: string, namespace: string): Promise<boolean> {
  let connection: Connection | undefined;
  try {
    connection = await Connection.connect({ address, connectTimeout: 1_000 });
    await connection.workflowService.describeNamespace({ namespace });
    return true;
  } catch {
    // not yet
    return false;
  } finally {
    await connection?.close();
  }
}

function explain(log: string, { port, uiPort, logFile }: Target): string {
  const taken = [port, uiPort].find((each) => log.includes(`port ${each}`) || log.includes(`:${each}`));
  if (log.includes('already in use') && taken !== undefined) {
    const setting = taken === port ? 'SETTLE_TEMPORAL_PORT' : 'SETTLE_UI_PORT';
    return `port ${taken}, for Temporal, is in use; set ${setting} to another`;
  }
  const last = log.trim().split('\n').at(-1) ?? '';
  return `Temporal ended while it started: ${last === '' ? 'it gave no reason' : last}; its log is '${logFile}'`;
}
