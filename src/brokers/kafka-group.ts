import { setTimeout as delay } from 'node:timers/promises';
import { findCoordinatorV4, heartbeatV4, joinGroupV7, leaveGroupV4, syncGroupV5 } from '@platformatic/kafka';
import type { Connection } from '@platformatic/kafka';
import {
  PROTOCOL,
  assign,
  decodeAssignment,
  decodeSubscription,
  encodeAssignment,
  encodeSubscription,
} from './kafka-assignment.js';
import type { Assignment, Subscriber } from './kafka-assignment.js';
import type { KafkaClient, KafkaNode, KafkaRequest } from './kafka-client.js';
import { CODES, codesOf, hasCode, isLost } from './kafka-errors.js';

/** A place in a group, until its partitions are shared out anew. */
export interface Membership {
  readonly memberId: string;
  readonly generation: number;
  /** Of our topic. */
  readonly partitions: readonly number[];
}

export interface GroupOptions {
  readonly client: KafkaClient;
  readonly group: string;
  readonly topic: string;
  /** The partitions are ours from now on. */
  readonly assigned: (membership: Membership) => Promise<void>;
  /** They are not any more as soon as it resolves; `isLost`: others may have them already, and nothing can be committed. */
  readonly revoked: (membership: Membership, isLost: boolean) => Promise<void>;
  /** Whether the group has not answered for so long that others may have our partitions. */
  readonly suspended: (isSuspended: boolean) => void;
  readonly onTrouble: (error: unknown) => void;
}

/** A member that was killed loses its partitions after this; Kafka's brokers allow no less than 6 s unless they are set up otherwise. */
const SESSION_MS = 10_000;
/** Also how soon a member learns that partitions are to be shared out anew. */
const BEAT_MS = 1_000;
const BEAT_ANSWER_MS = 3_000;
/** Messages that take longer than this are handled by two members when partitions move meanwhile. */
const REVOKE_MS = 45_000;
const REBALANCE_MS = 60_000;
const JOIN_MS = REBALANCE_MS + SESSION_MS;
const PAUSE_MS = { first: 100, most: 3_000 };
const LEAVE_MS = 3_000;
/** None; not the coordinator; still loading. */
const ELSEWHERE: readonly number[] = [14, 15, 16];

/** Topic → number of its partitions. */
type PartitionCounts = ReadonlyMap<string, number>;

/** Why a membership is over. */
type End = 'rebalance' | 'lost' | 'left';

/** A member of a group until it leaves: joins again whenever partitions are shared out anew, and only when what was taken is handled. */
export class GroupMember {
  readonly #options: GroupOptions;
  readonly #leaving = new AbortController();
  #coordinator: KafkaNode | undefined;
  #memberId = '';

  constructor(options: GroupOptions) {
    this.#options = options;
    void this.#run();
  }

  /** Asks the broker that keeps the group. */
  async ask<T>(request: Omit<KafkaRequest<T>, 'to'>): Promise<T> {
    const { client, group } = this.#options;
    try {
      this.#coordinator ??= await findCoordinator(client, group);
      return await client.request({ ...request, to: this.#coordinator });
    } catch (cause) {
      const codes = codesOf(cause);
      if (codes.length === 0 || codes.some((code) => ELSEWHERE.includes(code))) this.#coordinator = undefined;
      if (isLost(cause)) this.#memberId = '';
      throw cause;
    }
  }

  /** Leaves at once, so that others have the partitions. What was handled must have been committed. */
  async leave(): Promise<void> {
    this.#leaving.abort();
    const { client, group, onTrouble } = this.#options;
    const memberId = this.#memberId;
    if (memberId === '' || this.#coordinator === undefined) return;
    const send = (to: Connection): Promise<unknown> => leaveGroupV4.api.async(to, group, [{ memberId }]);
    await client.request({ to: this.#coordinator, timeoutMs: LEAVE_MS, send }).catch(onTrouble);
  }

  async #run(): Promise<void> {
    const { signal } = this.#leaving;
    for (let failures = 0; !signal.aborted;) {
      try {
        const { membership, counts } = await this.#join();
        await this.#options.assigned(membership);
        failures = 0;
        const end = await this.#stay(membership, counts);
        this.#options.suspended(false);
        if (end !== 'left') await this.#giveBack(membership, end);
      } catch (cause) {
        if (signal.aborted) return;
        // others joined meanwhile, or it begins as a new member: neither is trouble
        if (!hasCode(cause, CODES.rebalanceInProgress) && !isLost(cause)) this.#options.onTrouble(cause);
        await pause(Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** failures++), signal);
      }
    }
  }

  async #join(): Promise<{ membership: Membership; counts?: PartitionCounts }> {
    const { client, group, topic } = this.#options;
    await client.leaders(topic);
    const { members, leader, memberId, generation } = await this.#enter();
    const counts = leader === memberId ? await countPartitions(client, members) : undefined;
    const shares = counts === undefined ? new Map<string, Assignment>() : assign(members, counts);
    const assignments = [...shares].map(([id, share]) => ({ memberId: id, assignment: encodeAssignment(share) }));
    const { assignment } = await this.ask({
      timeoutMs: JOIN_MS,
      send: (to) => syncGroupV5.api.async(to, group, generation, memberId, null, 'consumer', PROTOCOL, assignments),
    });
    const partitions = decodeAssignment(assignment).get(topic) ?? [];
    return { membership: { memberId, generation, partitions }, ...(counts && { counts }) };
  }

  /** Waits until all members have given back what they have. */
  async #enter(): Promise<{ members: Subscriber[]; leader: string; memberId: string; generation: number }> {
    const { group, topic } = this.#options;
    const protocols = [{ name: PROTOCOL, metadata: encodeSubscription([topic]) }];
    const send = (to: Connection): ReturnType<typeof joinGroupV7.api.async> =>
      joinGroupV7.api.async(to, group, SESSION_MS, REBALANCE_MS, this.#memberId, null, 'consumer', protocols);
    const joined = await this.ask({ timeoutMs: JOIN_MS, send }).catch((cause: { response?: { memberId?: string } }) => {
      if (!hasCode(cause, CODES.memberIdRequired)) throw cause;
      this.#memberId = cause.response?.memberId ?? '';
      return this.ask({ timeoutMs: JOIN_MS, send });
    });
    this.#memberId = joined.memberId ?? '';
    const members = joined.members.map(({ memberId, metadata }) => ({
      memberId,
      topics: metadata === null ? [] : decodeSubscription(metadata),
    }));
    return { members, leader: joined.leader, memberId: this.#memberId, generation: joined.generationId };
  }

  /** Stays a member until something ends it. */
  async #stay(membership: Membership, counts?: PartitionCounts): Promise<End> {
    const { client, suspended, onTrouble } = this.#options;
    let answeredAt = Date.now();
    for (;;) {
      await pause(BEAT_MS, this.#leaving.signal);
      if (this.#leaving.signal.aborted) return 'left';
      try {
        await this.#beat(membership);
        answeredAt = Date.now();
        suspended(false);
        if (counts !== undefined && (await hasChanged(client, counts))) return 'rebalance';
      } catch (cause) {
        if (hasCode(cause, CODES.rebalanceInProgress)) return 'rebalance';
        if (isLost(cause)) return 'lost';
        onTrouble(cause);
        if (Date.now() > answeredAt + SESSION_MS) suspended(true);
      }
    }
  }

  async #giveBack(membership: Membership, end: End): Promise<void> {
    const done = new AbortController();
    const patience = AbortSignal.any([done.signal, AbortSignal.timeout(REVOKE_MS)]);
    const given = this.#options.revoked(membership, end === 'lost').finally(() => done.abort());
    while (!patience.aborted) {
      await pause(BEAT_MS, patience);
      // its answer is known: partitions are to be shared out anew
      if (!patience.aborted && end === 'rebalance') await this.#beat(membership).catch(() => undefined);
    }
    if (done.signal.aborted) await given;
    else given.catch(this.#options.onTrouble);
  }

  async #beat({ memberId, generation }: Membership): Promise<void> {
    const { group } = this.#options;
    const send = (to: Connection): Promise<unknown> => heartbeatV4.api.async(to, group, generation, memberId);
    await this.ask({ timeoutMs: BEAT_ANSWER_MS, send });
  }
}

async function findCoordinator(client: KafkaClient, group: string): Promise<KafkaNode> {
  const { coordinators } = await client.request({ send: (to) => findCoordinatorV4.api.async(to, 0, [group]) });
  const { host, port } = coordinators[0]!;
  return { host, port };
}

async function countPartitions(client: KafkaClient, members: readonly Subscriber[]): Promise<PartitionCounts> {
  const topics = [...new Set(members.flatMap((each) => each.topics))];
  const counts = topics.map(async (topic) => [topic, (await client.leaders(topic)).length] as const);
  return new Map(await Promise.all(counts));
}

async function hasChanged(client: KafkaClient, counts: PartitionCounts): Promise<boolean> {
  const now = [...counts].map(async ([topic, count]) => (await client.leaders(topic)).length !== count);
  return (await Promise.all(now)).includes(true);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal }).catch(() => undefined);
}
