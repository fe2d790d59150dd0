import { setTimeout as delay } from 'node:timers/promises';
import { compatibilityPartitioner, produceV9 } from '@platformatic/kafka';
import type { MessageRecord } from '@platformatic/kafka';
import { BrokerError } from './broker.js';
import type { BrokerMessage, PublishOptions } from './broker.js';
import type { KafkaClient } from './kafka-client.js';
import { CODES, brokerError, hasCode, isStale } from './kafka-errors.js';
import { sizeOf, toRecord } from './kafka-message.js';

/** A message on its way. */
interface Pending {
  readonly record: MessageRecord;
  readonly size: number;
  isSettled: boolean;
  settle(cause?: unknown): void;
}

/** Of one partition: at most one request at a time, so that a repeated one is never overtaken. */
interface Lane {
  readonly topic: string;
  readonly partition: number;
  waiting: Pending[];
  isSending: boolean;
}

const ACKS_ALL = -1;
const BATCH = { bytes: 900_000, messages: 1_000 };
const STALE_PAUSE_MS = 100;
/** For the replicas; each message has a deadline of its own besides. */
const REPLICATED_MS = 10_000;
/** An answer that never comes costs the connection, which others use too. */
const ANSWER_MS = 15_000;

/** Sends messages, many in one request. */
export class KafkaPublisher {
  readonly #client: KafkaClient;
  readonly #lanes = new Map<string, Lane>();
  readonly #pending = new Set<Promise<void>>();
  #turn = 0;

  constructor(client: KafkaClient) {
    this.#client = client;
  }

  /** @throws BrokerError that names message and topic */
  async publish(message: BrokerMessage, options: PublishOptions): Promise<void> {
    const sent = this.#place(message, options);
    this.#pending.add(sent);
    try {
      await sent;
    } catch (cause) {
      throw brokerErrorOf(message.id, options.to, cause);
    } finally {
      this.#pending.delete(sent);
    }
  }

  /** Waits until everything has been confirmed or has failed. */
  async drain(): Promise<void> {
    await Promise.allSettled(this.#pending);
  }

  async #place(message: BrokerMessage, { to, timeoutMs }: PublishOptions): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    const { length: count } = await inTime(this.#client.leaders(to), timeoutMs);
    const key = message.key === undefined ? undefined : Buffer.from(message.key);
    const partition = (key === undefined ? this.#turn++ : compatibilityPartitioner(undefined as never, key)) % count;
    const lane = this.#laneOf(to, partition);
    await new Promise<void>((resolve, reject) => {
      const timer = setTimeout(() => each.settle(tooLate(timeoutMs)), Math.max(0, deadline - Date.now()));
      const each: Pending = {
        record: toRecord(message, to, partition),
        size: sizeOf(message),
        isSettled: false,
        settle: (cause) => {
          clearTimeout(timer);
          each.isSettled = true;
          if (cause === undefined) resolve();
          else reject(cause as Error);
        },
      };
      lane.waiting.push(each);
      void this.#send(lane);
    });
  }

  #laneOf(topic: string, partition: number): Lane {
    const name = `${topic}:${partition}`;
    const lane = this.#lanes.get(name) ?? { topic, partition, waiting: [], isSending: false };
    this.#lanes.set(name, lane);
    return lane;
  }

  async #send(lane: Lane): Promise<void> {
    if (lane.isSending) return;
    lane.isSending = true;
    // what is published in the same turn goes along
    await new Promise((resolve) => setImmediate(resolve));
    for (;;) {
      const batch = takeBatch(lane);
      if (batch.length === 0) break;
      await this.#sendBatch(lane, batch);
    }
    lane.isSending = false;
  }

  async #sendBatch(lane: Lane, batch: readonly Pending[]): Promise<void> {
    try {
      await produce(this.#client, lane, batch);
      for (const each of batch) each.settle();
    } catch (cause) {
      if (isStale(cause)) {
        // nothing was stored: the leader is another one now, or none at the moment
        this.#client.forget(lane.topic);
        await delay(STALE_PAUSE_MS);
        lane.waiting.unshift(...batch);
      } else if (isTooLarge(cause) && batch.length > 1) {
        // the topic takes less than we thought: which of them is too large shows one by one
        for (const each of batch) await this.#sendBatch(lane, [each]);
      } else for (const each of batch) each.settle(cause);
    }
  }
}

/** As many as one request takes; who has been told that it is too late is not sent any more. */
function takeBatch(lane: Lane): Pending[] {
  lane.waiting = lane.waiting.filter(({ isSettled }) => !isSettled);
  let bytes = 0;
  let count = 0;
  for (const { size } of lane.waiting) {
    bytes += size;
    if (count > 0 && (bytes > BATCH.bytes || count === BATCH.messages)) break;
    count++;
  }
  return lane.waiting.splice(0, count);
}

async function produce(client: KafkaClient, lane: Lane, batch: readonly Pending[]): Promise<void> {
  const to = (await client.leaders(lane.topic))[lane.partition];
  if (to === undefined) {
    client.forget(lane.topic);
    throw new BrokerError('unavailable', `partition ${lane.partition} of Kafka topic '${lane.topic}' has no leader`);
  }
  const records = batch.map(({ record }) => record);
  await client.request({
    to,
    timeoutMs: ANSWER_MS,
    send: (connection) => produceV9.api.async(connection, ACKS_ALL, REPLICATED_MS, records),
  });
}

function isTooLarge(cause: unknown): boolean {
  return hasCode(cause, CODES.messageTooLarge) || hasCode(cause, CODES.recordsTooLarge);
}

function tooLate(timeoutMs: number): BrokerError {
  return new BrokerError('timeout', `not confirmed within ${timeoutMs} ms`);
}

async function inTime<T>(work: Promise<T>, timeoutMs: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(tooLate(timeoutMs)), timeoutMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function brokerErrorOf(id: string, topic: string, cause: unknown): BrokerError {
  const { kind, message } = brokerError('Kafka refused it', cause);
  return new BrokerError(kind, `message '${id}' to Kafka topic '${topic}': ${message}`, { cause });
}
