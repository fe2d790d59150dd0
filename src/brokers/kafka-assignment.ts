/** Topic → partitions. */
export type Assignment = ReadonlyMap<string, readonly number[]>;

/** A member of a group and the topics that it consumes. */
export interface Subscriber {
  readonly memberId: string;
  readonly topics: readonly string[];
}

/** As Kafka's own clients name it, so that they can be members of the same group. */
export const PROTOCOL = 'range';

/** Shares the partitions of each topic among those who consume it, in ranges: the same for the same members, whoever computes it. */
export function assign(members: readonly Subscriber[], counts: ReadonlyMap<string, number>): Map<string, Assignment> {
  const shares = new Map(members.map(({ memberId }) => [memberId, new Map<string, number[]>()]));
  for (const [topic, count] of counts) {
    const takers = members
      .filter(({ topics }) => topics.includes(topic))
      .map(({ memberId }) => memberId)
      .sort();
    for (let partition = 0; partition < count && takers.length > 0; partition++) {
      const share = shares.get(takers[Math.floor((partition * takers.length) / count)]!)!;
      share.set(topic, [...(share.get(topic) ?? []), partition]);
    }
  }
  return shares;
}

/** @see https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolSubscription.json */
export function encodeSubscription(topics: readonly string[]): Buffer {
  return Buffer.concat([int16(0), int32(topics.length), ...topics.map(text), int32(-1)]);
}

export function decodeSubscription(bytes: Buffer): string[] {
  const reader = createReader(bytes);
  reader.int16();
  return reader.array(reader.text);
}

/** @see https://github.com/apache/kafka/blob/trunk/clients/src/main/resources/common/message/ConsumerProtocolAssignment.json */
export function encodeAssignment(assignment: Assignment): Buffer {
  const topics = [...assignment].map(([topic, partitions]) =>
    Buffer.concat([text(topic), int32(partitions.length), ...partitions.map(int32)]),
  );
  return Buffer.concat([int16(0), int32(topics.length), ...topics, int32(-1)]);
}

/** @param bytes may be empty: a member without a share */
export function decodeAssignment(bytes: Buffer): Assignment {
  if (bytes.length === 0) return new Map();
  const reader = createReader(bytes);
  reader.int16();
  return new Map(reader.array(() => [reader.text(), reader.array(reader.int32)] as const));
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(value);
  return bytes;
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value);
  return bytes;
}

function text(value: string): Buffer {
  return Buffer.concat([int16(Buffer.byteLength(value)), Buffer.from(value)]);
}

interface Reader {
  readonly int16: () => number;
  readonly int32: () => number;
  readonly text: () => string;
  readonly array: <T>(read: () => T) => T[];
}

function createReader(bytes: Buffer): Reader {
  let at = 0;
  const skip = (length: number): number => (at += length) - length;
  const reader: Reader = {
    int16: () => bytes.readInt16BE(skip(2)),
    int32: () => bytes.readInt32BE(skip(4)),
    text: () => {
      const length = reader.int16();
      const start = skip(length);
      return bytes.toString('utf8', start, start + length);
    },
    array: (read) => Array.from({ length: reader.int32() }, read),
  };
  return reader;
}
