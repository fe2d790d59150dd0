import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrokerErrorKind, BrokerMessage, IncomingMessage, Subscription } from '../../src/brokers/broker.js';
import { createRocketMq } from '../../src/brokers/rocketmq.js';
import type { RocketMq } from '../../src/brokers/rocketmq.js';
import { loadConfig } from '../../src/config.js';
import { startRocketMq } from '../../src/dev/brokers/rocketmq.js';
import type { RocketMqServer } from '../../src/dev/brokers/rocketmq.js';
import { findFreePorts } from '../../src/dev/ports.js';

/** Where the jars are. */
export const CACHE_DIR = loadConfig().cacheDir;

/** A server for one test file. */
export interface TestRocketMq {
  readonly server: () => RocketMqServer;
  readonly url: string;
  /** Kills it as a power cut would kill the process. */
  kill(): Promise<void>;
  /** Starts it on the data that it has. */
  restart(): Promise<void>;
  remove(): Promise<void>;
}

/** Starts a server on free ports, in a folder that `remove` takes away. */
export async function startTestRocketMq(settings: Readonly<Record<string, string>> = {}): Promise<TestRocketMq> {
  const dataDir = await mkdtemp(join(tmpdir(), 'settle-rocketmq-'));
  const options = { cacheDir: CACHE_DIR, dataDir, port: await findFreePorts(6), settings };
  let server = await startRocketMq(options);
  return {
    server: () => server,
    url: server.url,
    kill: () => server.kill(),
    restart: async () => void (server = await startRocketMq(options)),
    remove: async () => {
      await server.kill();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

/** Runs `work` with a client that is closed afterwards. */
export async function withClient<T>(url: string, work: (client: RocketMq) => Promise<T>): Promise<T> {
  const client = createRocketMq({ url });
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

export function message(id: string, rest: Partial<BrokerMessage> = {}): BrokerMessage {
  return { id, contentType: 'application/json', headers: {}, body: Buffer.from(`{"id":"${id}"}`), ...rest };
}

/** Matches an error of this kind whose text says all of `pattern`. */
export function failure(kind: BrokerErrorKind, pattern: RegExp): { readonly kind: string; readonly message: string } {
  return { kind, message: expect.stringMatching(pattern) as string };
}

/** A consumer that keeps what it got, and what went wrong. */
export interface Collector {
  readonly subscription: Subscription;
  readonly got: IncomingMessage[];
  readonly ids: () => string[];
  readonly troubles: Error[];
}

export function collect(
  options: Pick<Subscription, 'from' | 'group'> & Partial<Subscription>,
  handle: Subscription['handle'] = () => Promise.resolve(),
): Collector {
  const got: IncomingMessage[] = [];
  const troubles: Error[] = [];
  const subscription: Subscription = {
    onTrouble: (error) => troubles.push(error),
    ...options,
    handle: async (incoming) => {
      got.push(incoming);
      await handle(incoming);
    },
  };
  return { subscription, got, troubles, ids: () => got.map(({ id }) => id) };
}

/** Work that waits until it is let go. */
export interface Gate {
  readonly open: () => void;
  readonly passed: Promise<void>;
}

/** Gives work a gate, which is open once it has failed: its client would wait for what is being handled. */
export function gateFor(work: (gate: Gate) => Promise<void>): Promise<void> {
  let open!: () => void;
  const passed = new Promise<void>((resolve) => (open = resolve));
  return work({ open, passed }).finally(open);
}

let count = 0;

/** A topic and a group that no other test uses. */
export async function prepare(
  { server }: TestRocketMq,
  type: 'normal' | 'fifo' | 'transaction' = 'normal',
): Promise<{ readonly from: string; readonly group: string }> {
  const [from, group] = [`topic-${++count}`, `group-${count}`];
  await server().admin.createTopic(from, { type });
  await server().admin.createGroup(group, { isOrdered: type === 'fifo' });
  return { from, group };
}
