import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { findFreePorts } from '../../src/dev/ports.js';
import { startRedis, type RedisOptions, type RedisServer } from '../../src/dev/brokers/redis.js';
import type { BrokerMessage, IncomingMessage, Subscription } from '../../src/brokers/broker.js';
import { createRedisConnection, type RedisConnection } from '../../src/brokers/redis-connection.js';

/** A Redis of a test, which can be ended and started again on its data. */
export interface TestRedis {
  readonly url: string;
  readonly port: number;
  kill(): Promise<void>;
  restart(changes?: Partial<RedisOptions>): Promise<void>;
  /** A command, as redis-cli would send it. */
  ask(...args: string[]): Promise<unknown>;
  remove(): Promise<void>;
}

/** Starts a Redis in a folder of its own. */
export async function startTestRedis(options: Partial<RedisOptions> = {}): Promise<TestRedis> {
  const dataDir = await mkdtemp(join(tmpdir(), 'settle-redis-'));
  const port = await findFreePorts();
  let server: RedisServer = await startRedis({ ...options, dataDir, port });
  const connection: RedisConnection = createRedisConnection({ url: server.url, name: 'test' });
  return {
    url: server.url,
    port,
    kill: () => server.kill(),
    restart: async (changes = {}) => {
      server = await startRedis({ ...options, ...changes, dataDir, port });
    },
    ask: (...args) => connection.sendCommand(args),
    remove: async () => {
      await connection.close();
      await server.kill();
      await rm(dataDir, { recursive: true, force: true });
    },
  };
}

/** A message whose body is its id, unless it is told otherwise. */
export function messageOf(id: string, parts: Partial<BrokerMessage> = {}): BrokerMessage {
  return { id, contentType: 'text/plain', headers: { origin: 'test' }, body: Buffer.from(id), ...parts };
}

/** Notes what it is given, and answers as it is told. */
export interface Recorder {
  readonly seen: IncomingMessage[];
  readonly troubles: Error[];
  /** Ids, in the order in which they were given out. */
  ids(): string[];
  subscription(parts: Pick<Subscription, 'from'> & Partial<Subscription>): Subscription;
}

/** A consumer's end, for the group `g` unless it is told otherwise. */
export function createRecorder(
  answer: (message: IncomingMessage) => Promise<void> = () => Promise.resolve(),
): Recorder {
  const seen: IncomingMessage[] = [];
  const troubles: Error[] = [];
  return {
    seen,
    troubles,
    ids: () => seen.map(({ id }) => id),
    subscription: (parts) => ({
      group: 'g',
      handle: async (message) => {
        seen.push(message);
        await answer(message);
      },
      onTrouble: (error) => void troubles.push(error),
      ...parts,
    }),
  };
}

/** Ids of many messages, in order. */
export const MANY: readonly string[] = Array.from({ length: 200 }, (_, index) => `m-${index}`);

/** A promise that a test settles. */
export function gate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Runs a script of this folder until it prints a line that begins with `word`. */
export async function startScript(script: string, args: readonly string[], word: string): Promise<ChildProcess> {
  const file = join(import.meta.dirname, script);
  const child = spawn(process.execPath, ['--import', './test/support/typescript.js', file, ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  for await (const line of createInterface({ input: child.stdout })) if (line.startsWith(word)) return child;
  throw new Error(`'${script}' ended without a line that begins with '${word}'`);
}

/** SIGKILL. */
export async function killScript(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}
