import { existsSync, mkdirSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createRedisConnection } from '../../brokers/redis-connection.js';
import { startChild } from '../child.js';
import type { Child } from '../child.js';

export interface RedisOptions {
  /** Absolute; holds `redis/` and `redis.log`. */
  readonly dataDir: string;
  readonly port: number;
  /** Where it refuses to take more, in bytes; it throws nothing out. @default no limit */
  readonly maxMemoryBytes?: number;
  /** When what it has written is forced to the disk. @default 'always' */
  readonly appendFsync?: 'always' | 'everysec' | 'no';
  /** Whether it keeps a file at all; without, a restart finds it empty. @default true */
  readonly isPersistent?: boolean;
  /** A port of 127.0.0.1 whose copy it is. @default it is a server of its own */
  readonly replicaOf?: number;
  /** Told the server's process id as soon as there is one, before it answers. */
  readonly onSpawn?: (pid: number) => void;
}

/** A Redis that listens on 127.0.0.1. */
export interface RedisServer {
  readonly pid: number;
  readonly port: number;
  /** As `createRedisStreams` takes it. */
  readonly url: string;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** Writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const READY_MS = 30_000;
const STOP_MS = 10_000;
const FOLDERS = ['/usr/bin', '/usr/local/bin', '/opt/homebrew/bin'];

/** Where `redis-server` is, or undefined when it is not here: `apt-get install redis-server` brings it. */
export function findRedis(path = FOLDERS.join(delimiter)): string | undefined {
  return path
    .split(delimiter)
    .map((folder) => join(folder, 'redis-server'))
    .find((file) => existsSync(file));
}

/**
 * Starts the server of `dataDir`; resolves when it takes messages, with everything that it had before.
 *
 * @throws Error, one line, when Redis is not installed, the port is in use or the server ends; it names the log
 */
export async function startRedis(options: RedisOptions): Promise<RedisServer> {
  const { dataDir, port } = options;
  const command = findRedis();
  if (command === undefined) throw new Error('Redis is not here: apt-get install redis-server');
  mkdirSync(join(dataDir, 'redis'), { recursive: true });
  const logFile = join(dataDir, 'redis.log');
  const child = await startChild({ command, args: settingsOf(options), logFile, cwd: join(dataDir, 'redis') });
  options.onSpawn?.(child.pid);
  const url = `redis://127.0.0.1:${port}/0`;
  try {
    await waitUntilReady(child, { url, port, logFile });
  } catch (cause) {
    await child.kill();
    throw cause;
  }
  return {
    ...{ pid: child.pid, port, url, exited: child.exited },
    stop: () => child.stop('SIGTERM', STOP_MS),
    kill: () => child.kill(),
  };
}

function settingsOf(options: RedisOptions): string[] {
  const { dataDir, port, maxMemoryBytes = 0, appendFsync = 'always', isPersistent = true, replicaOf } = options;
  const settings: Record<string, string> = {
    port: String(port),
    bind: '127.0.0.1',
    dir: join(dataDir, 'redis'),
    daemonize: 'no',
    appendonly: isPersistent ? 'yes' : 'no',
    appendfsync: appendFsync,
    save: '',
    maxmemory: String(maxMemoryBytes),
    'maxmemory-policy': 'noeviction',
    // a copy that has just been started need not wait for more of them
    'repl-diskless-sync-delay': '0',
    ...(replicaOf === undefined ? {} : { replicaof: `127.0.0.1 ${replicaOf}` }),
  };
  return Object.entries(settings).flatMap(([name, value]) => [
    `--${name}`,
    ...(name === 'replicaof' ? value.split(' ') : [value]),
  ]);
}

interface Target {
  readonly url: string;
  readonly port: number;
  readonly logFile: string;
}

async function waitUntilReady(child: Child, target: Target): Promise<void> {
  const end = Date.now() + READY_MS;
  while (!(await isReady(target.url, child.pid))) {
    if (!child.isRunning()) throw new Error(explain(await child.readLog(), target));
    if (Date.now() > end)
      throw new Error(`Redis did not answer within ${READY_MS / 1_000} s; its log is '${target.logFile}'`);
    await Promise.race([delay(20), child.exited]);
  }
}

/** Whether it has read its file, and is ours: another server may have the port, while ours is about to give up. */
async function isReady(url: string, pid: number): Promise<boolean> {
  const connection = createRedisConnection({ url, name: 'settle-dev', timeoutMs: 1_000 });
  try {
    const info = String(await connection.sendCommand(['INFO', 'everything']));
    return info.includes(`process_id:${pid}\r\n`) && info.includes('loading:0\r\n');
  } catch {
    // not yet
    return false;
  } finally {
    await connection.close();
  }
}

function explain(log: string, { port, logFile }: Target): string {
  if (log.includes('Address already in use')) return `port ${port}, for Redis, is in use; choose another`;
  const last = log.trim().split('\n').at(-1) ?? '';
  return `Redis ended while it started: ${last === '' ? 'it gave no reason' : last}; its log is '${logFile}'`;
}
