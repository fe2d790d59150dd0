import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BROKER_NAMES, type Broker, type BrokerName } from '../../../src/brokers/broker.js';
import { openBroker } from '../../../src/brokers/open-broker.js';
import { createRedisConnection } from '../../../src/brokers/redis-connection.js';
import { loadConfig } from '../../../src/config.js';
import {
  startBroker,
  whyNoBroker,
  type BrokerServer,
  type PreparedDestination,
} from '../../../src/dev/brokers/brokers.js';
import { startRabbitMq } from '../../../src/dev/brokers/rabbitmq.js';
import { startRocketMq } from '../../../src/dev/brokers/rocketmq.js';
import { findFreePorts } from '../../../src/dev/ports.js';

/** A real broker of the test's own: it may be killed, filled, and started again on its data. */
export interface TestBroker {
  readonly name: BrokerName;
  readonly url: string;
  /** The test's own client, which outlives the server. */
  readonly client: Broker;
  /** Makes what no client can; see {@link BrokerServer}. */
  prepare(destinations: readonly PreparedDestination[]): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
  /** Starts it where it was, on the data that it had. */
  restart(): Promise<void>;
  /** Lets it take no messages, as one without memory or room does; or lets it take them again. */
  fill(isFull: boolean): Promise<void>;
  /** Ends it, and its files. */
  remove(): Promise<void>;
}

/** The brokers that cannot be run on this machine, each with how to get it. */
export async function findMissingBrokers(): Promise<ReadonlyMap<BrokerName, string>> {
  const { cacheDir } = loadConfig();
  const whys = await Promise.all(BROKER_NAMES.map((name) => whyNoBroker(name, cacheDir)));
  return new Map(BROKER_NAMES.flatMap((name, index) => (whys[index] === undefined ? [] : [[name, whys[index]]])));
}

/** A server, and what makes it take nothing. */
interface Fillable extends BrokerServer {
  fill(isFull: boolean): Promise<void>;
}

interface Place {
  readonly cacheDir: string;
  readonly dataDir: string;
  readonly port: number;
}

/** How many neighbouring ports a server takes at the most. */
const PORTS = 6;

/** Starts a broker on free ports, in a folder of its own. */
export async function startTestBroker(name: BrokerName): Promise<TestBroker> {
  const dataDir = await mkdtemp(join(tmpdir(), `settle-${name}-`));
  const place = { cacheDir: loadConfig().cacheDir, dataDir, port: await findFreePorts(PORTS) };
  let server = await start(name, place);
  const client = await openBroker(name, server.url);
  return {
    name,
    url: server.url,
    client,
    prepare: (destinations) => server.prepare(destinations),
    kill: () => server.kill(),
    restart: async () => void (server = await start(name, place)),
    fill: (isFull) => server.fill(isFull),
    remove: async () => {
      await client.close();
      await server.kill();
      await rm(dataDir, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
    },
  };
}

async function start(name: BrokerName, place: Place): Promise<Fillable> {
  const { cacheDir, dataDir, port } = place;
  switch (name) {
    case 'rabbitmq': {
      const server = await startRabbitMq({ dataDir, port });
      const fill = (isFull: boolean): Promise<void> => server.limitMemory(isFull ? 1 : undefined);
      return { ...server, name, prepare: () => Promise.resolve(), fill };
    }
    case 'rocketmq': {
      const server = await startRocketMq({ cacheDir, dataDir, port });
      const { createTopic, createGroup, configure } = server.admin;
      const prepare: BrokerServer['prepare'] = async (destinations) => {
        for (const { name: topic, groups, ordered = false } of destinations) {
          await createTopic(topic, { type: ordered ? 'fifo' : 'normal' });
          for (const group of groups) await createGroup(group, { isOrdered: ordered });
        }
      };
      // until then it takes nothing
      const fill = (isFull: boolean): Promise<void> =>
        configure({ startAcceptSendRequestTimeStamp: isFull ? String(Date.now() + 3_600_000) : '0' });
      return { ...server, name, prepare, fill };
    }
    case 'kafka': {
      const server = await startBroker(name, place);
      return {
        ...server,
        fill: () => Promise.reject(new Error('a single Kafka cannot be made full but by a full disk')),
      };
    }
    case 'redis': {
      const server = await startBroker(name, place);
      return { ...server, fill: (isFull) => limitRedis(server.url, isFull ? '1' : '0') };
    }
  }
}

async function limitRedis(url: string, bytes: string): Promise<void> {
  const connection = createRedisConnection({ url, name: 'settle-test' });
  try {
    await connection.sendCommand(['CONFIG', 'SET', 'maxmemory', bytes]);
  } finally {
    await connection.close();
  }
}
