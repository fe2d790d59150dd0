import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Connection } from 'rabbitmq-client';
import { startChild } from '../child.js';
import type { Child } from '../child.js';

export interface RabbitMqOptions {
  /** Absolute; holds everything of the server, `rabbitmq.password` and `rabbitmq.log` among it. */
  readonly dataDir: string;
  /** The first of three neighbouring ports: for clients, for its own tools, for the Erlang port mapper. */
  readonly port: number;
  /** Told the process ids as soon as there are some, before it answers. */
  readonly onSpawn?: (pid: number) => void;
}

/** A RabbitMQ server that listens on 127.0.0.1. */
export interface RunningRabbitMq {
  readonly pid: number;
  /** `amqp://…`, with the password. */
  readonly url: string;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /**
   * Moves the amount of memory above which it takes no messages; with less than it uses now, it takes none from now on.
   *
   * @param bytes undefined: as much as it had at its start
   */
  limitMemory(bytes?: number): Promise<void>;
  /** Writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL to it and all its processes. */
  kill(): Promise<void>;
}

const USER = 'settle';
// each server has a port mapper of its own, so the name needs to be unique nowhere, and the data is found again on other ports
const NODE = 'settle@localhost';
const READY_MS = 120_000;
const STOP_MS = 30_000;
const HOMES = ['/usr/lib/rabbitmq/bin', '/opt/rabbitmq/sbin', '/opt/homebrew/sbin', '/usr/local/sbin'];
const PATH = '/usr/local/bin:/usr/bin:/bin:/opt/homebrew/bin';
const REMEDY = 'RabbitMQ is not here: apt-get install rabbitmq-server';

/** The folder of its programs; undefined where it is not installed. Debian's `/usr/sbin/rabbitmq-server` serves root's service only. */
export function findRabbitMq(): string | undefined {
  return HOMES.find((home) => existsSync(join(home, 'rabbitmq-server')));
}

/**
 * Starts the server of `dataDir`, which it creates at the first start; resolves when it takes messages.
 * What this machine has set up for a RabbitMQ of its own does not reach it, and it leaves nothing outside of `dataDir`.
 *
 * @throws Error, one line, when it is not installed, a port is in use or it ends; it names the log
 */
export async function startRabbitMq(options: RabbitMqOptions): Promise<RunningRabbitMq> {
  const { dataDir, port, onSpawn } = options;
  const home = findRabbitMq();
  if (home === undefined) throw new Error(REMEDY);
  const url = `amqp://${USER}:${prepareFolder(dataDir, port)}@127.0.0.1:${port}`;
  const mapper = await startMapper(options);
  const logFile = join(dataDir, 'rabbitmq.log');
  const start = { ...withEnvironment(options, join(home, 'rabbitmq-server')), logFile, cwd: dataDir };
  const child = await startChild(start).catch(async (cause: unknown) => {
    await mapper.kill();
    throw cause;
  });
  onSpawn?.(child.pid);
  const exited = child.exited.then(() => mapper.kill());
  const end = async (ending: Promise<void>): Promise<void> => void (await Promise.all([ending, exited]));
  try {
    await waitUntilReady(child, { url, port, logFile });
  } catch (cause) {
    await end(child.kill());
    throw cause;
  }
  return {
    ...{ pid: child.pid, url, exited },
    limitMemory: async (bytes) => {
      const limit = bytes === undefined ? ['0.4'] : ['absolute', String(bytes)];
      const { command, args } = withEnvironment(options, join(home, 'rabbitmqctl'));
      await promisify(execFile)(command, [...args, 'set_vm_memory_high_watermark', ...limit], { cwd: dataDir });
    },
    stop: () => end(child.stop('SIGTERM', STOP_MS)),
    kill: () => end(child.kill()),
  };
}

/** Writes its settings; returns the password. */
function prepareFolder(dataDir: string, port: number): string {
  mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  const passwordFile = join(dataDir, 'rabbitmq.password');
  if (!existsSync(passwordFile)) writeFileSync(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
  const password = readFileSync(passwordFile, 'utf8').trim();
  const settings = {
    'listeners.tcp.1': `127.0.0.1:${port}`,
    // read at the first start, when there are no users
    default_user: USER,
    default_pass: password,
    'log.console': 'true',
    'log.console.level': 'info',
    'log.file': 'false',
    // by default it keeps up to 512 MB of its write-ahead log in memory
    'raft.wal_max_size_bytes': '67108864',
  };
  const lines = Object.entries(settings).map(([name, value]) => `${name} = ${value}\n`);
  writeFileSync(join(dataDir, 'rabbitmq.conf'), lines.join(''), { mode: 0o600 });
  writeFileSync(join(dataDir, 'enabled_plugins'), '[].\n');
  return password;
}

/** The server would start a port mapper that outlives it, and for the whole machine: it gets one that ends with it. */
async function startMapper({ dataDir, port, onSpawn }: RabbitMqOptions): Promise<Child> {
  const logFile = join(dataDir, 'epmd.log');
  const environment = [`PATH=${PATH}`, `ERL_EPMD_PORT=${port + 2}`, 'ERL_EPMD_ADDRESS=127.0.0.1'];
  const child = await startChild({
    command: '/usr/bin/env',
    args: ['-i', ...environment, 'epmd'],
    logFile,
    cwd: dataDir,
  });
  onSpawn?.(child.pid);
  const end = Date.now() + READY_MS;
  while (child.isRunning() && Date.now() < end && !(await answers(port + 2)))
    await Promise.race([delay(20), child.exited]);
  // whoever answers may be somebody else's, while ours is about to give up
  await Promise.race([delay(100), child.exited]);
  if (child.isRunning()) return child;
  const log = await child.readLog();
  if (log.includes('No such file')) throw new Error(REMEDY);
  throw new Error(`port ${port + 2}, for RabbitMQ's port mapper, is in use; its log is '${logFile}'`);
}

/** A command with its environment and no other: variables of this machine's own RabbitMQ must not reach ours. */
function withEnvironment(
  { dataDir, port }: RabbitMqOptions,
  program: string,
): { readonly command: string; readonly args: readonly string[] } {
  const loopback = '-kernel inet_dist_use_interface {127,0,0,1}';
  const environment = {
    PATH,
    // where Erlang keeps the secret by which its tools are let in
    HOME: dataDir,
    LANG: 'C.UTF-8',
    ERL_EPMD_PORT: String(port + 2),
    ERL_EPMD_ADDRESS: '127.0.0.1',
    ERL_CRASH_DUMP: join(dataDir, 'erl_crash.dump'),
    RABBITMQ_NODENAME: NODE,
    RABBITMQ_DIST_PORT: String(port + 1),
    RABBITMQ_MNESIA_BASE: join(dataDir, 'mnesia'),
    RABBITMQ_LOG_BASE: join(dataDir, 'log'),
    RABBITMQ_CONFIG_FILE: join(dataDir, 'rabbitmq.conf'),
    RABBITMQ_ENABLED_PLUGINS_FILE: join(dataDir, 'enabled_plugins'),
    // a file that is not there: /etc/rabbitmq/rabbitmq-env.conf is this machine's
    RABBITMQ_CONF_ENV_FILE: join(dataDir, 'rabbitmq-env.conf'),
    RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: loopback,
    RABBITMQ_CTL_ERL_ARGS: loopback,
    // the script becomes the server, instead of staying as its parent
    RUNNING_UNDER_SYSTEMD: 'true',
  };
  const variables = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  return { command: '/usr/bin/env', args: ['-i', ...variables, program] };
}

interface Target {
  readonly url: string;
  readonly port: number;
  readonly logFile: string;
}

async function waitUntilReady(child: Child, { url, port, logFile }: Target): Promise<void> {
  const connection = new Connection({ url, retryLow: 100, retryHigh: 200 });
  // until it listens, every attempt fails
  connection.on('error', () => undefined);
  const patience = new AbortController();
  try {
    const isReady = await Promise.race([
      new Promise<boolean>((resolve) => connection.on('connection', () => resolve(true))),
      child.exited.then(() => false),
      delay(READY_MS, false, { signal: patience.signal, ref: false }),
    ]);
    if (isReady) return;
  } finally {
    patience.abort();
    connection.unsafeDestroy();
  }
  if (child.isRunning())
    throw new Error(`RabbitMQ did not answer within ${READY_MS / 1_000} s; its log is '${logFile}'`);
  throw new Error(explain(await child.readLog(), port, logFile));
}

function explain(log: string, port: number, logFile: string): string {
  const isTaken = /eaddrinuse|address already in use|already in use/i.test(log);
  if (isTaken) return `one of the ports ${port} to ${port + 2}, for RabbitMQ, is in use; its log is '${logFile}'`;
  return `RabbitMQ ended while it started: ${lastLine(log)}; its log is '${logFile}'`;
}

function lastLine(log: string): string {
  const last = log.trim().split('\n').at(-1) ?? '';
  return last === '' ? 'it gave no reason' : last.trim();
}

async function answers(port: number): Promise<boolean> {
  const socket = createConnection({ host: '127.0.0.1', port });
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    // not yet
    return false;
  } finally {
    socket.destroy();
  }
}
