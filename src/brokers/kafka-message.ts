import type { KafkaRecord, MessageRecord } from '@platformatic/kafka';
import type { BrokerMessage, IncomingMessage } from './broker.js';

/** CloudEvents' Kafka binding. */
export const ATTRIBUTE_PREFIX = 'ce_';

/** A record has no place for either of its own. */
const CONTENT_TYPE = 'content-type';
const MESSAGE_ID = 'message-id';

/** Lengths and names that the record format adds, at the most. */
const OVERHEAD = { record: 100, header: 10 };

/** A message as one record; its key is the order key. */
export function toRecord(message: BrokerMessage, topic: string, partition: number): MessageRecord {
  const { id, key, contentType, headers, body } = message;
  const all = Object.entries({ ...headers, [CONTENT_TYPE]: contentType, [MESSAGE_ID]: id });
  return {
    topic,
    partition,
    ...(key === undefined ? {} : { key: Buffer.from(key) }),
    value: body,
    headers: new Map(all.map(([name, value]) => [Buffer.from(name), Buffer.from(value)])),
  };
}

/** What a record takes at the most, in bytes. */
export function sizeOf({ id, key = '', contentType, headers, body }: BrokerMessage): number {
  const all = [[CONTENT_TYPE, contentType] as const, [MESSAGE_ID, id] as const, ...Object.entries(headers)];
  const sizes = all.map(([name, value]) => Buffer.byteLength(name) + Buffer.byteLength(value) + OVERHEAD.header);
  return sizes.reduce((sum, size) => sum + size, OVERHEAD.record + Buffer.byteLength(key) + body.length);
}

/** Where a record lies. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
  readonly offset: bigint;
  readonly isRedelivered: boolean;
}

/** A record as a message, whoever wrote it. */
export function fromRecord({ key, value, headers }: KafkaRecord, place: Place): IncomingMessage {
  const all = new Map(headers.map(([name, text]) => [String(name ?? ''), String(text ?? '')]));
  const contentType = all.get(CONTENT_TYPE) ?? 'application/octet-stream';
  const id = all.get(MESSAGE_ID) ?? all.get(`${ATTRIBUTE_PREFIX}id`);
  all.delete(CONTENT_TYPE);
  all.delete(MESSAGE_ID);
  return {
    id: id ?? `${place.topic}/${place.partition}/${place.offset}`,
    ...(key === null ? {} : { key: key.toString('utf8') }),
    contentType,
    headers: Object.fromEntries(all),
    body: value ?? Buffer.alloc(0),
    from: place.topic,
    isRedelivered: place.isRedelivered,
  };
}
