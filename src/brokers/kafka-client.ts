import { setTimeout as delay } from 'node:timers/promises';
import { ConnectionPool, metadataV9 } from '@platformatic/kafka';
import type { Connection } from '@platformatic/kafka';
import { BrokerError } from './broker.js';
import { CODES, describe, hasCode } from './kafka-errors.js';

/** Where a Kafka broker listens. */
export interface KafkaNode {
  readonly host: string;
  readonly port: number;
}

/** Who leads each partition; undefined where nobody does at the moment. */
export type Leaders = readonly (KafkaNode | undefined)[];

/** One answer from Kafka. */
export interface KafkaRequest<T> {
  /** @default any of the brokers that we know */
  readonly to?: KafkaNode;
  /** For the answer, in ms; the connection is closed when there was none. @default 10000 */
  readonly timeoutMs?: number;
  readonly send: (connection: Connection) => Promise<T>;
}

/**
 * Connections to the brokers of one cluster, and what they say of its topics. It speaks versions of the protocol that Kafka 3.0 to 4.x know.
 *
 * We use the library's wire protocol, not its `Producer` and `Consumer`: 20 concurrent sends of its idempotent producer were all confirmed
 * and one was stored (1.35.0), and its consumer joins anew, when partitions move, before what it was given is handled.
 */
export interface KafkaClient {
  /** Sends one request. @throws Error of the library, or BrokerError `unavailable` during the pause after a failed attempt to connect */
  request<T>(request: KafkaRequest<T>): Promise<T>;
  /** @throws BrokerError `unroutable` when there is no such topic */
  leaders(topic: string): Promise<Leaders>;
  /** Has the next call of `leaders` ask anew. */
  forget(topic: string): void;
  /** Ends every connection; what still waits for an answer fails. */
  close(): Promise<void>;
}

const CONNECT_MS = 5_000;
const REQUEST_MS = 10_000;
const CLOSE_MS = 2_000;
const PAUSE_MS = { first: 50, most: 2_000 };
const TOPIC_AGE_MS = 60_000;

/** @param bootstrap at least one broker of the cluster */
export function createKafkaClient(bootstrap: readonly KafkaNode[]): KafkaClient {
  const pool = new ConnectionPool('settle', { connectTimeout: CONNECT_MS, requestTimeout: 600_000, maxInflights: 64 });
  // each may fail more than once, and without a listener that ends the process
  pool.on('connecting', ({ connection }) => void connection.on('error', () => undefined));
  const connect = createConnector(pool);
  let known: readonly KafkaNode[] = [];
  let isClosed = false;

  async function connectToAny(): Promise<Connection> {
    const nodes = [...known, ...bootstrap];
    for (const node of nodes.slice(0, -1)) {
      try {
        return await connect(node);
      } catch {
        // the last one's failure is told
      }
    }
    return connect(nodes.at(-1)!);
  }

  async function request<T>({ to, timeoutMs = REQUEST_MS, send }: KafkaRequest<T>): Promise<T> {
    if (isClosed) throw new BrokerError('unavailable', 'the connection to Kafka has been closed');
    const connection = await (to === undefined ? connectToAny() : connect(to));
    return answerOf(connection, send(connection), timeoutMs);
  }

  async function loadLeaders(topic: string): Promise<Leaders> {
    try {
      const { brokers, topics: found } = await request({
        send: (connection) => metadataV9.api.async(connection, [topic]),
      });
      known = brokers.map(({ host, port }) => ({ host, port }));
      const nodes = new Map(brokers.map(({ nodeId, host, port }) => [nodeId, { host, port }]));
      const partitions = [...(found[0]?.partitions ?? [])].sort((a, b) => a.partitionIndex - b.partitionIndex);
      return partitions.map(({ leaderId }) => nodes.get(leaderId));
    } catch (cause) {
      if (!hasCode(cause, CODES.unknownTopic) && !hasCode(cause, CODES.invalidTopic)) throw cause;
      throw new BrokerError('unroutable', `there is no Kafka topic '${topic}'; create it`, { cause });
    }
  }

  return {
    request,
    ...cacheLeaders(loadLeaders),
    close: async () => {
      isClosed = true;
      // a socket that nobody reads at the other end may never say that it has closed
      await Promise.race([pool.close(), delay(CLOSE_MS, undefined, { ref: false })]);
    },
  };
}

function cacheLeaders(load: (topic: string) => Promise<Leaders>): Pick<KafkaClient, 'leaders' | 'forget'> {
  const topics = new Map<string, { readonly since: number; readonly leaders: Promise<Leaders> }>();
  return {
    leaders: (topic) => {
      const known = topics.get(topic);
      if (known !== undefined && known.since > Date.now() - TOPIC_AGE_MS) return known.leaders;
      const leaders = load(topic);
      topics.set(topic, { since: Date.now(), leaders });
      leaders.catch(() => {
        if (topics.get(topic)?.leaders === leaders) topics.delete(topic);
      });
      return leaders;
    },
    forget: (topic) => void topics.delete(topic),
  };
}

/** @returns connects to a node, and after a failure not again before a pause that grows */
function createConnector(pool: ConnectionPool): (node: KafkaNode) => Promise<Connection> {
  const pauses = new Map<string, { readonly until: number; readonly ms: number; readonly cause: unknown }>();
  return async (node) => {
    const name = `${node.host}:${node.port}`;
    const pause = pauses.get(name);
    if (pause !== undefined && pause.until > Date.now()) throw unreachable(name, pause.cause);
    try {
      const connection = await pool.get({ ...node });
      pauses.delete(name);
      return connection;
    } catch (cause) {
      const ms = Math.min(PAUSE_MS.most, pause === undefined ? PAUSE_MS.first : pause.ms * 2);
      pauses.set(name, { until: Date.now() + ms, ms, cause });
      throw unreachable(name, cause);
    }
  };
}

function unreachable(name: string, cause: unknown): BrokerError {
  return new BrokerError('unavailable', `no connection to Kafka at ${name}: ${describe(cause)}`, { cause });
}

/** Answers come in order: what waits behind one that never comes would wait for ever. */
async function answerOf<T>(connection: Connection, answer: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      void connection.close();
      reject(new BrokerError('timeout', `Kafka did not answer within ${timeoutMs} ms`));
    }, timeoutMs);
  });
  try {
    return await Promise.race([answer, timeout]);
  } finally {
    clearTimeout(timer);
  }
}
