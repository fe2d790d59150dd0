import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection, describeGroupsV5, incrementalAlterConfigsV1 } from '@platformatic/kafka';
import type { Broker, BrokerMessage, IncomingMessage, Subscription } from '../../src/brokers/broker.js';
import { createKafka } from '../../src/brokers/kafka.js';
import { loadConfig } from '../../src/config.js';
import { startKafka } from '../../src/dev/brokers/kafka.js';
import type { KafkaServer } from '../../src/dev/brokers/kafka.js';
import { findFreePorts } from '../../src/dev/ports.js';

/** A real server for one test file, and what is open towards it. */
export interface KafkaStand {
  /** An adapter that is closed after the test. */
  open(): Broker;
  /** Makes a topic of one test's own. */
  declare(broker: Broker): Promise<string>;
  /** Begins to consume and keeps what comes. */
  subscribe(broker: Broker, wanted: Wanted): Seen;
  /** The same, once messages can come. */
  consume(broker: Broker, wanted: Wanted): Promise<Seen>;
  /** Changes settings of a topic. */
  configure(topic: string, settings: Readonly<Record<string, string>>): Promise<void>;
  /** How many members a group of this topic has. */
  memberCount(group: string, topic: string): Promise<number>;
  kill(): Promise<void>;
  /** On the same data and port. */
  start(): Promise<void>;
  /** What consumers were told in this test. */
  troubles(): readonly Error[];
}

/** Everything that was given to `handle`, in that order. */
export interface Seen {
  readonly all: IncomingMessage[];
  readonly ready: Promise<void>;
  ids(): Set<string>;
  stop(): Promise<void>;
}

export type Wanted = Pick<Subscription, 'from' | 'group' | 'prefetch' | 'ordered'> &
  Partial<Pick<Subscription, 'handle'>>;

/** Starts a server before the tests of a file and stops it after them. */
export function useKafka(): KafkaStand {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-kafka-'));
  const brokers: Broker[] = [];
  let troubles: Error[] = [];
  let topics = 0;
  let port = 0;
  let server: KafkaServer | undefined;
  const start = async (): Promise<void> => {
    server = await startKafka({
      ...{ cacheDir: loadConfig().cacheDir, dataDir, port },
      progress: (line) => void process.stderr.write(`${line}\n`),
    });
  };
  beforeAll(async () => {
    port = await findFreePorts(2);
    await start();
  });
  afterEach(async () => {
    await Promise.all(brokers.splice(0).map((broker) => broker.close()));
    troubles = [];
  });
  afterAll(async () => {
    await server?.stop();
    rmSync(dataDir, { recursive: true, force: true });
  });
  const subscribe = (broker: Broker, wanted: Wanted): Seen =>
    keep(broker, wanted, (error) => void troubles.push(error));
  return {
    open: () => {
      const broker = createKafka({ url: `127.0.0.1:${port}` });
      brokers.push(broker);
      return broker;
    },
    declare: async (broker) => {
      const name = `topic-${++topics}`;
      await broker.declare({ name });
      return name;
    },
    subscribe,
    consume: async (broker, wanted) => {
      const seen = subscribe(broker, wanted);
      await seen.ready;
      return seen;
    },
    configure: (topic, settings) => configure(port, topic, settings),
    memberCount: (group, topic) => countMembers(port, groupOf(group, topic)),
    kill: async () => server?.kill(),
    start,
    troubles: () => troubles,
  };
}

/** Its body is its id. */
export function message(id: string, key?: string): BrokerMessage {
  return { id, ...(key !== undefined && { key }), contentType: 'text/plain', headers: {}, body: Buffer.from(id) };
}

/** All at once. */
export async function publishAll(broker: Broker, to: string, names: readonly string[], key?: string): Promise<void> {
  await Promise.all(names.map((id) => broker.publish(message(id, key), { to, timeoutMs: 30_000 })));
}

/** `m-1`, `m-2`, … */
export function ids(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index + 1}`);
}

function keep(broker: Broker, wanted: Wanted, onTrouble: (error: Error) => void): Seen {
  const { handle = () => Promise.resolve(), ...others } = wanted;
  const all: IncomingMessage[] = [];
  const consumption = broker.subscribe({
    ...others,
    group: groupOf(wanted.group, wanted.from),
    handle: async (incoming) => {
      all.push(incoming);
      await handle(incoming);
    },
    onTrouble,
  });
  return { all, ready: consumption.ready, ids: () => new Set(all.map(({ id }) => id)), stop: () => consumption.stop() };
}

/** Of one test alone. */
function groupOf(group: string, topic: string): string {
  return `${group}-${topic}`;
}

/** What waits for it goes on once it is opened. */
export function createGate(): { readonly opened: Promise<void>; open(): void } {
  let open: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

async function withConnection<T>(port: number, work: (connection: Connection) => Promise<T>): Promise<T> {
  const connection = new Connection('test');
  await connection.connect('127.0.0.1', port);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

async function configure(port: number, topic: string, settings: Readonly<Record<string, string>>): Promise<void> {
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value, configOperation: 0 as const }));
  const resources = [{ resourceType: 2 as const, resourceName: topic, configs }];
  await withConnection(port, (connection) => incrementalAlterConfigsV1.api.async(connection, resources, false));
}

async function countMembers(port: number, group: string): Promise<number> {
  const { groups } = await withConnection(port, (connection) => describeGroupsV5.api.async(connection, [group], false));
  return groups[0]?.members.length ?? 0;
}
