import { setTimeout as delay } from 'node:timers/promises';
import { createTopicsV7 } from '@platformatic/kafka';
import { BrokerError } from './broker.js';
import type { Broker, BrokerMessage, Consumption, Destination } from './broker.js';
import { createKafkaClient } from './kafka-client.js';
import type { KafkaClient, KafkaNode } from './kafka-client.js';
import { KafkaConsumer } from './kafka-consumer.js';
import { CODES, brokerError, hasCode } from './kafka-errors.js';
import { ATTRIBUTE_PREFIX, sizeOf } from './kafka-message.js';
import { KafkaPublisher } from './kafka-publisher.js';

/** How to reach it. */
export interface BrokerOptions {
  /** `host:port,host:port` of some of its brokers. */
  readonly url: string;
}

const DEFAULT_PORT = 9092;
/** Kafka takes 1 MiB, its own lengths included, unless a topic is set up otherwise. */
const MAX_BYTES = 1_000_000;
/** Of a topic that we create: as many consumers of a group can share it. */
const PARTITIONS = 6;
/** As the cluster has it by default. */
const DEFAULT_REPLICATION = -1;
const DECLARE_MS = 15_000;
const LEADERS_PAUSE_MS = 50;

/**
 * Kafka, 3.0 or later. A message is stored once all replicas in sync have it (acks=all): with a replication factor of 3 and
 * `min.insync.replicas=2` it outlives any one broker; a single broker outlives a killed process, not a power cut.
 *
 * - Messages of one key lie in one partition, by the hash that Kafka's own clients use; a partition has one reader per group, so ordered
 *   destinations need nothing more. A message that lost its confirmation may be stored twice.
 * - A consumer commits what it has handled without a gap, and beside it what it has handled after the first gap.
 * - A group that has committed nothing begins with the first message that is still there.
 *
 * @throws TypeError when `url` is no list of `host:port`
 */
export function createKafka({ url }: BrokerOptions): Broker {
  const nodes = parseNodes(url);
  const client = createKafkaClient(nodes);
  const publisher = new KafkaPublisher(client);
  const consumptions = new Set<Consumption>();
  let closing: Promise<void> | undefined;

  async function close(): Promise<void> {
    await Promise.all([publisher.drain(), ...[...consumptions].map((each) => each.stop())]);
    await client.close();
  }

  return {
    name: 'kafka',
    attributePrefix: ATTRIBUTE_PREFIX,
    maxBytes: MAX_BYTES,
    publish: async (message, options) => {
      if (closing !== undefined)
        throw new BrokerError('unavailable', `message '${message.id}' came after Kafka's connections were closed`);
      checkSize(message, options.to);
      await publisher.publish(message, options);
    },
    declare: (destination) => declare(client, destination),
    subscribe: (subscription) => {
      if (closing !== undefined) throw new BrokerError('unavailable', "Kafka's connections have been closed");
      const consumption = new KafkaConsumer(nodes, subscription);
      const tracked: Consumption = {
        ready: consumption.ready,
        stop: async () => {
          await consumption.stop();
          consumptions.delete(tracked);
        },
      };
      consumptions.add(tracked);
      return tracked;
    },
    close: () => (closing ??= close()),
  };
}

function parseNodes(url: string): KafkaNode[] {
  return url.split(',').map((part) => {
    const [, ip, name, port] = /^\s*(?:\[([\da-f:.]+)\]|([\w.-]+))(?::(\d{1,5}))?\s*$/i.exec(part) ?? [];
    const host = ip ?? name;
    if (host === undefined) throw new TypeError(`'${url}' is no list of Kafka brokers; write host:port,host:port`);
    return { host, port: Number(port ?? DEFAULT_PORT) };
  });
}

function checkSize(message: BrokerMessage, topic: string): void {
  const size = sizeOf(message);
  if (size <= MAX_BYTES) return;
  const what = `message '${message.id}' to Kafka topic '${topic}' takes ${size} bytes`;
  throw new BrokerError(
    'too-large',
    `${what}, and ${MAX_BYTES} is the most; send a reference to what it holds instead`,
  );
}

async function declare(client: KafkaClient, { name }: Destination): Promise<void> {
  const topic = {
    name,
    numPartitions: PARTITIONS,
    replicationFactor: DEFAULT_REPLICATION,
    assignments: [],
    configs: [],
  };
  try {
    await client.request({
      timeoutMs: DECLARE_MS,
      send: (connection) => createTopicsV7.api.async(connection, [topic], DECLARE_MS, false),
    });
  } catch (cause) {
    if (!hasCode(cause, CODES.topicExists)) throw brokerError(`Kafka topic '${name}' could not be created`, cause);
  }
  await waitForLeaders(client, name);
}

/** A topic that was made a moment ago is not led by anybody yet: what is published there would fail. */
async function waitForLeaders(client: KafkaClient, topic: string): Promise<void> {
  const end = Date.now() + DECLARE_MS;
  for (;;) {
    client.forget(topic);
    const problem = await client.leaders(topic).then(
      (leaders) => (leaders.includes(undefined) ? new Error('it has partitions without a leader') : undefined),
      (cause: unknown) => cause,
    );
    if (problem === undefined) return;
    if (Date.now() > end) throw brokerError(`Kafka topic '${topic}' was not ready in time`, problem);
    await delay(LEADERS_PAUSE_MS);
  }
}
