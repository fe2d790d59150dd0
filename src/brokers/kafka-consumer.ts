import { setTimeout as delay } from 'node:timers/promises';
import type { RecordsBatch } from '@platformatic/kafka';
import type { Consumption, Subscription } from './broker.js';
import { createKafkaClient } from './kafka-client.js';
import type { KafkaClient, KafkaNode } from './kafka-client.js';
import { CODES, brokerError, hasCode, isLost } from './kafka-errors.js';
import { Fetcher } from './kafka-fetcher.js';
import type { Source } from './kafka-fetcher.js';
import { GroupMember } from './kafka-group.js';
import type { Membership } from './kafka-group.js';
import { HandOver } from './kafka-hand-over.js';
import type { Entry } from './kafka-hand-over.js';
import { fromRecord } from './kafka-message.js';
import { firstOffset, loadStarts, saveCommits } from './kafka-offsets.js';
import type { OffsetsOf, Start } from './kafka-offsets.js';
import { createProgress } from './kafka-progress.js';
import type { Commit, PartitionProgress } from './kafka-progress.js';

const PREFETCH = 64;
/** So far one partition runs ahead of its first message that is not handled yet; a crash repeats no more than that. */
const AHEAD = { messages: 10_000, bytes: 16 * 1024 * 1024 };
const COMMIT_MS = 100;
const LAST_COMMIT_MS = 5_000;
const IS_CONTROL = 0x20;

/** A partition that is ours, and what is done of it. */
interface Share {
  readonly partition: number;
  readonly progress: PartitionProgress;
  /** Of what is fetched and not finished. */
  openBytes: number;
  readonly end: bigint;
  committed: Commit;
}

/**
 * Consumes a topic as one more member of its group.
 *
 * ```
 *  group ── assigned ──▶ fetcher ── records ──▶ hand-over ── handle() ──▶ progress ── each 100 ms ──▶ commit
 *    └───── revoked: let go of what was not begun, wait for what was, commit, and only then join again
 * ```
 */
export class KafkaConsumer implements Consumption {
  readonly ready: Promise<void>;
  readonly #subscription: Subscription;
  readonly #control: KafkaClient;
  readonly #reading: KafkaClient;
  readonly #fetcher: Fetcher;
  readonly #handOver: HandOver;
  readonly #group: GroupMember;
  readonly #stopCommitting: () => Promise<void>;
  #shares: readonly Share[] = [];
  #membership: Membership | undefined;
  #stopping: Promise<void> | undefined;
  #isReady: () => void = () => undefined;

  constructor(nodes: readonly KafkaNode[], subscription: Subscription) {
    const { from: topic, group, prefetch = PREFETCH, handle } = subscription;
    const onTrouble = (cause: unknown): void => this.#tell(cause);
    this.#subscription = subscription;
    this.ready = new Promise<void>((resolve) => (this.#isReady = resolve));
    this.#control = createKafkaClient(nodes);
    this.#reading = createKafkaClient(nodes);
    this.#fetcher = new Fetcher({ client: this.#reading, topic, onTrouble });
    this.#handOver = new HandOver({ handle, prefetch, onRoom: () => this.#fetcher.wake() });
    this.#group = new GroupMember({
      ...{ client: this.#control, group, topic, onTrouble },
      suspended: (isSuspended) => this.#handOver.suspend(isSuspended),
      assigned: (membership) => this.#begin(membership),
      revoked: (membership, isLost) => this.#giveBack(membership, isLost),
    });
    this.#stopCommitting = repeat(COMMIT_MS, () => this.#commit());
  }

  stop(): Promise<void> {
    return (this.#stopping ??= this.#stop());
  }

  async #begin(membership: Membership): Promise<void> {
    const starts = await loadStarts(this.#offsets, membership.partitions);
    if (this.#stopping !== undefined) return;
    this.#shares = [...starts].map(([partition, start]) => toShare(partition, start));
    this.#membership = membership;
    this.#fetcher.follow(this.#shares.map((share) => this.#toSource(share)));
    this.#isReady();
  }

  async #giveBack(membership: Membership, isLost: boolean): Promise<void> {
    this.#fetcher.follow([]);
    this.#handOver.clear();
    await this.#handOver.idle();
    if (membership !== this.#membership) return;
    if (!isLost) await this.#commit();
    this.#shares = [];
    this.#membership = undefined;
  }

  async #stop(): Promise<void> {
    this.#fetcher.stop();
    this.#handOver.clear();
    // still a member: others would repeat what is being handled
    await this.#handOver.idle();
    await this.#stopCommitting();
    await Promise.race([this.#commit(), delay(LAST_COMMIT_MS, undefined, { ref: false })]);
    await this.#group.leave();
    await Promise.all([this.#control.close(), this.#reading.close()]);
    this.#isReady();
  }

  /** What fails is made up for by the next. */
  async #commit(): Promise<void> {
    const membership = this.#membership;
    const changed = this.#shares
      .map((share) => ({ share, next: share.progress.commit() }))
      .filter(({ share, next }) => !isSame(share.committed, next));
    if (membership === undefined || changed.length === 0) return;
    try {
      const commits = new Map(changed.map(({ share, next }) => [share.partition, next]));
      await saveCommits(this.#offsets, membership, commits);
      for (const { share, next } of changed) share.committed = next;
    } catch (cause) {
      // a membership that is over shows at the next heartbeat
      if (!isLost(cause) && !hasCode(cause, CODES.rebalanceInProgress)) this.#tell(cause);
    }
  }

  #toSource(share: Share): Source {
    const prefetch = this.#subscription.prefetch ?? PREFETCH;
    const hasRoom = (): boolean => this.#handOver.waitingCount <= prefetch && !isFarAhead(share);
    return {
      partition: share.partition,
      position: () => share.progress.position(),
      hasRoom,
      take: (batches) => {
        for (const batch of batches) {
          // marks that a transaction has ended are no messages
          if ((batch.attributes & IS_CONTROL) === 0) this.#handOver.add(this.#toEntries(share, batch));
          share.progress.advanceTo(batch.firstOffset + BigInt(batch.lastOffsetDelta) + 1n);
        }
      },
      onGone: () => this.#goPastDeleted(share),
    };
  }

  #toEntries(share: Share, batch: RecordsBatch): Entry[] {
    const { from: topic, ordered = false } = this.#subscription;
    const { progress, partition } = share;
    return batch.records.flatMap((record) => {
      const offset = batch.firstOffset + BigInt(record.offsetDelta);
      if (!progress.fetched(offset)) return [];
      const wasSeen = offset < share.end;
      share.openBytes += record.length;
      return {
        ...(ordered && record.key !== null && { lane: `${partition}/${record.key.toString('latin1')}` }),
        read: (again) => fromRecord(record, { topic, partition, offset, isRedelivered: again || wasSeen }),
        finish: () => {
          progress.finish(offset);
          share.openBytes -= record.length;
        },
      };
    });
  }

  async #goPastDeleted(share: Share): Promise<void> {
    const first = await firstOffset(this.#offsets, share.partition);
    const which = `messages ${share.progress.position()} to ${first - 1n} of partition ${share.partition}`;
    this.#tell(
      new Error(`${which} were deleted before they were read; keep them longer (retention.ms, retention.bytes)`),
    );
    share.progress.advanceTo(first);
  }

  get #offsets(): OffsetsOf {
    const { from: topic, group } = this.#subscription;
    return { client: this.#control, group, topic, ask: (request) => this.#group.ask(request) };
  }

  #tell(cause: unknown): void {
    const { from, group, onTrouble } = this.#subscription;
    onTrouble(brokerError(`Kafka topic '${from}', group '${group}'`, cause));
  }
}

function isFarAhead({ progress, openBytes }: Share): boolean {
  return progress.openCount() >= AHEAD.messages || openBytes >= AHEAD.bytes;
}

function toShare(partition: number, { offset, metadata, end }: Start): Share {
  return {
    partition,
    end,
    openBytes: 0,
    committed: { offset, metadata },
    progress: createProgress({ offset, metadata }),
  };
}

/** Does it again and again, one at a time; what is returned ends that. */
function repeat(everyMs: number, work: () => Promise<void>): () => Promise<void> {
  const stopping = new AbortController();
  const { signal } = stopping;
  async function run(): Promise<void> {
    while (!signal.aborted) {
      await delay(everyMs, undefined, { signal }).catch(() => undefined);
      if (!signal.aborted) await work();
    }
  }
  const running = run();
  return async () => {
    stopping.abort();
    await running;
  };
}

function isSame(a: Commit, b: Commit): boolean {
  return a.offset === b.offset && a.metadata === b.metadata;
}
