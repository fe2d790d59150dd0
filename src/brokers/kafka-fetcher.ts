import { setTimeout as delay } from 'node:timers/promises';
import { fetchV12 } from '@platformatic/kafka';
import type { RecordsBatch } from '@platformatic/kafka';
import type { KafkaClient, KafkaNode } from './kafka-client.js';
import { CODES } from './kafka-errors.js';

type FetchResponse = Awaited<ReturnType<typeof fetchV12.api.async>>;

/** A partition that is read. */
export interface Source {
  readonly partition: number;
  readonly position: () => bigint;
  /** Whether more can be taken. */
  readonly hasRoom: () => boolean;
  readonly take: (batches: readonly RecordsBatch[]) => void;
  /** What is to be read has been deleted. */
  readonly onGone: () => Promise<void>;
}

export interface FetcherOptions {
  /** Its connections wait for messages: nothing else may use them. */
  readonly client: KafkaClient;
  readonly topic: string;
  readonly onTrouble: (error: unknown) => void;
}

const BYTES = { most: 8 * 1024 * 1024, ofPartition: 1024 * 1024 };
/** For the first message; shorter where a partition without room may have some again before. */
const WAIT_MS = { all: 500, some: 20 };
const ANSWER_MS = 15_000;
const PAUSE_MS = { first: 100, most: 2_000 };

/** Reads partitions for as long as they have room; one request at a time to each leader. */
export class Fetcher {
  readonly #options: FetcherOptions;
  readonly #busy = new Set<string>();
  #sources: readonly Source[] = [];
  #isPaused = false;
  #failures = 0;
  #isStopped = false;

  constructor(options: FetcherOptions) {
    this.#options = options;
  }

  /** Reads these from now on, and no others. */
  follow(sources: readonly Source[]): void {
    this.#sources = sources;
    this.wake();
  }

  /** There may be room again. */
  wake(): void {
    void this.#readAll();
  }

  stop(): void {
    this.#isStopped = true;
    this.#sources = [];
  }

  async #readAll(): Promise<void> {
    const wanted = this.#sources.filter(({ hasRoom }) => hasRoom());
    if (this.#isStopped || this.#isPaused || wanted.length === 0) return;
    try {
      for (const [node, theirs] of await this.#groupByLeader(wanted)) void this.#readFrom(node, theirs);
    } catch (cause) {
      if (this.#isPaused) return;
      this.#isPaused = true;
      await this.#fail(cause);
      this.#isPaused = false;
      this.wake();
    }
  }

  async #groupByLeader(wanted: readonly Source[]): Promise<Map<KafkaNode, Source[]>> {
    const { client, topic } = this.#options;
    const leaders = await client.leaders(topic);
    const groups = new Map<string, [KafkaNode, Source[]]>();
    for (const source of wanted) {
      const node = leaders[source.partition];
      if (node === undefined) continue;
      groups.set(nameOf(node), [node, [...(groups.get(nameOf(node))?.[1] ?? []), source]]);
    }
    if (groups.size === 0) throw new Error('none of its partitions has a leader');
    return new Map(groups.values());
  }

  async #readFrom(node: KafkaNode, wanted: readonly Source[]): Promise<void> {
    if (this.#busy.has(nameOf(node))) return;
    this.#busy.add(nameOf(node));
    try {
      await this.#distribute(await this.#fetch(node, wanted), wanted);
      this.#failures = 0;
    } catch (cause) {
      await this.#fail(cause);
    }
    this.#busy.delete(nameOf(node));
    this.wake();
  }

  async #distribute({ responses }: FetchResponse, wanted: readonly Source[]): Promise<void> {
    let staleCode = 0;
    for (const { partitionIndex, errorCode, records } of responses.flatMap(({ partitions }) => partitions)) {
      const source = wanted.find(({ partition }) => partition === partitionIndex);
      // given back while the answer was on its way
      if (source === undefined || !this.#sources.includes(source)) continue;
      if (errorCode === CODES.offsetOutOfRange) await source.onGone();
      else if (errorCode !== 0) staleCode = errorCode;
      else if (records !== undefined) source.take(records);
    }
    if (staleCode !== 0) throw new Error(`a partition could not be read (error ${staleCode} of the protocol)`);
  }

  async #fetch(node: KafkaNode, wanted: readonly Source[]): Promise<FetchResponse> {
    const { client, topic } = this.#options;
    const maxWaitMs = wanted.length < this.#sources.length ? WAIT_MS.some : WAIT_MS.all;
    const partitions = wanted.map(({ partition, position }) => ({
      partition,
      currentLeaderEpoch: -1,
      fetchOffset: position(),
      lastFetchedEpoch: -1,
      partitionMaxBytes: BYTES.ofPartition,
    }));
    const topics = [{ topicId: topic, partitions }];
    try {
      return await client.request({
        to: node,
        timeoutMs: ANSWER_MS,
        send: (connection) => fetchV12.api.async(connection, maxWaitMs, 1, BYTES.most, 0, 0, -1, topics, [], ''),
      });
    } catch (cause) {
      // thrown for one partition's sake, and the others' messages are in it
      const { response } = cause as { readonly response?: FetchResponse };
      if (response === undefined) throw cause;
      return response;
    }
  }

  async #fail(cause: unknown): Promise<void> {
    if (this.#isStopped) return;
    this.#options.client.forget(this.#options.topic);
    this.#options.onTrouble(cause);
    await delay(Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** this.#failures++));
  }
}

function nameOf({ host, port }: KafkaNode): string {
  return `${host}:${port}`;
}
