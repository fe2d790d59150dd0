import { listOffsetsV7, offsetCommitV8, offsetFetchV8 } from '@platformatic/kafka';
import type { KafkaClient } from './kafka-client.js';
import type { GroupMember, Membership } from './kafka-group.js';
import type { Commit } from './kafka-progress.js';

/** Of which partitions, and who asks. */
export interface OffsetsOf {
  readonly client: KafkaClient;
  readonly group: string;
  readonly topic: string;
  /** Answers for the group. */
  readonly ask: GroupMember['ask'];
}

/** Where a partition is to be read on. */
export interface Start extends Commit {
  /** Its end at this moment: what lies before it may have been given to somebody else. */
  readonly end: bigint;
}

const LATEST = -1n;
const EARLIEST = -2n;

/** What the group has committed of each partition; where it has not, the first message that is still there. */
export async function loadStarts(of: OffsetsOf, partitions: readonly number[]): Promise<Map<number, Start>> {
  if (partitions.length === 0) return new Map();
  const [committed, ends] = await Promise.all([
    loadCommitted(of, partitions),
    listOffsets(of, { partitions, at: LATEST }),
  ]);
  const fresh = partitions.filter((partition) => !committed.has(partition));
  const first = await listOffsets(of, { partitions: fresh, at: EARLIEST });
  return new Map(
    partitions.map((partition) => {
      const start = committed.get(partition) ?? { offset: first.get(partition) ?? 0n, metadata: '' };
      return [partition, { ...start, end: ends.get(partition) ?? start.offset }];
    }),
  );
}

/** The first message of a partition that is still there. */
export async function firstOffset(of: OffsetsOf, partition: number): Promise<bigint> {
  return (await listOffsets(of, { partitions: [partition], at: EARLIEST })).get(partition) ?? 0n;
}

/** Writes down what has been handled, in the name of a member; refused when it is none any more. */
export async function saveCommits(
  { topic, group, ask }: OffsetsOf,
  { memberId, generation }: Membership,
  commits: ReadonlyMap<number, Commit>,
): Promise<void> {
  const partitions = [...commits].map(([partitionIndex, { offset, metadata }]) => ({
    partitionIndex,
    committedOffset: offset,
    committedLeaderEpoch: -1,
    committedMetadata: metadata,
  }));
  const topics = [{ name: topic, partitions }];
  await ask({ send: (to) => offsetCommitV8.api.async(to, group, generation, memberId, null, topics) });
}

async function loadCommitted(of: OffsetsOf, partitions: readonly number[]): Promise<Map<number, Commit>> {
  const { group: groupId, topic: name } = of;
  const asked = [{ groupId, memberEpoch: -1, topics: [{ name, partitionIndexes: [...partitions] }] }];
  const { groups } = await of.ask({ send: (to) => offsetFetchV8.api.async(to, asked, false) });
  const found = groups.flatMap(({ topics }) => topics.flatMap((each) => each.partitions));
  return new Map(
    found
      .filter(({ committedOffset }) => committedOffset >= 0n)
      .map(({ partitionIndex, committedOffset, metadata }) => [
        partitionIndex,
        { offset: committedOffset, metadata: metadata ?? '' },
      ]),
  );
}

async function listOffsets(
  { client, topic }: OffsetsOf,
  { partitions, at }: { readonly partitions: readonly number[]; readonly at: bigint },
): Promise<Map<number, bigint>> {
  const leaders = await client.leaders(topic);
  const offsets = partitions.map(async (partition) => {
    const asked = [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch: -1, timestamp: at }] }];
    const { topics } = await client.request({
      ...{ to: leaders[partition] },
      send: (to) => listOffsetsV7.api.async(to, -1, 0, asked),
    });
    return [partition, topics[0]!.partitions[0]!.offset] as const;
  });
  try {
    return new Map(await Promise.all(offsets));
  } catch (cause) {
    client.forget(topic);
    throw cause;
  }
}
