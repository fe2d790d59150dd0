import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import type { BrokerName } from '../../brokers/broker.js';
import { findFreePorts } from '../ports.js';
import type { Progress } from '../temporal-cli.js';
import { startKafka, whyNoKafka } from './kafka.js';
import { findRabbitMq, startRabbitMq } from './rabbitmq.js';
import { findRedis, startRedis } from './redis.js';
import { startRocketMq, whyNoRocketMq } from './rocketmq.js';

/** A broker of our own, on 127.0.0.1. */
export interface BrokerServer {
  readonly name: BrokerName;
  /** As `BrokerUrls` wants it. */
  readonly url: string;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** Makes what no client of its can: topics and groups of RocketMQ; the others' are made by whoever consumes. */
  prepare(destinations: readonly PreparedDestination[]): Promise<void>;
  /** Writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

/** A destination, and who is going to consume it. */
export interface PreparedDestination {
  readonly name: string;
  readonly groups: readonly string[];
  /** @default false */
  readonly ordered?: boolean;
  /** Whether RocketMQ's transactional messages go there. @default false */
  readonly transactional?: boolean;
}

export interface BrokerServerOptions {
  /** Absolute; what is downloaded is kept there, `Config.cacheDir`. */
  readonly cacheDir: string;
  /** Absolute; everything of the server lives in a folder of its name below it. */
  readonly dataDir: string;
  /** The first of up to six neighbouring ports, when it is to be found where it was. @default free ones */
  readonly port?: number;
  /** Told of a download. @default nobody */
  readonly progress?: Progress;
  /** Ends a download that is under way. */
  readonly signal?: AbortSignal;
  /** Told the process ids as soon as there are some, before they answer. */
  readonly onSpawn?: (pid: number) => void;
}

/** How many neighbouring ports a server takes at the most. */
const PORTS = 6;

/**
 * Says why a broker cannot be run on this machine, and how to get it.
 *
 * @returns undefined when it can
 */
export async function whyNoBroker(name: BrokerName, cacheDir: string): Promise<string | undefined> {
  switch (name) {
    case 'rabbitmq':
      return findRabbitMq() ? undefined : 'RabbitMQ is not here: apt-get install rabbitmq-server';
    case 'redis':
      return findRedis() ? undefined : 'Redis is not here: apt-get install redis-server';
    case 'kafka':
      return whyNoKafka(cacheDir);
    case 'rocketmq':
      return whyNoRocketMq(cacheDir);
  }
}

/**
 * Starts a broker for development and tests: durable as far as one server can be, its data found again by the next start.
 *
 * @throws Error, one line, when it cannot be had or ends; it says how to get it, or names the log
 */
export async function startBroker(name: BrokerName, options: BrokerServerOptions): Promise<BrokerServer> {
  const port = options.port ?? (await findFreePorts(PORTS));
  const dataDir = join(options.dataDir, name);
  mkdirSync(dataDir, { recursive: true });
  const given = { ...options, dataDir, port };
  const nothing = (): Promise<void> => Promise.resolve();
  switch (name) {
    case 'rabbitmq':
      return { ...(await startRabbitMq(given)), name, prepare: nothing };
    case 'kafka':
      return { ...(await startKafka(given)), name, prepare: nothing };
    case 'redis':
      return { ...(await startRedis(given)), name, prepare: nothing };
    case 'rocketmq': {
      const server = await startRocketMq(given);
      const { createTopic, createGroup } = server.admin;
      return {
        ...server,
        name,
        prepare: async (destinations) => {
          for (const { name: topic, groups, ordered = false, transactional = false } of destinations) {
            await createTopic(topic, { type: ordered ? 'fifo' : transactional ? 'transaction' : 'normal' });
            for (const group of groups) await createGroup(group, { isOrdered: ordered });
          }
        },
      };
    }
  }
}
