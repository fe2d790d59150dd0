import type { AsyncMessage, Channel, Envelope } from 'rabbitmq-client';
import { BrokerError } from './broker.js';
import type { BrokerMessage, IncomingMessage } from './broker.js';

/** What CloudEvents' AMQP binding puts in front of attribute names. */
export const ATTRIBUTE_PREFIX = 'cloudEvents:';
/** RabbitMQ 4 refuses more unless it is told otherwise, 3.x takes 128 MiB. */
export const MAX_BYTES = 16 * 1024 * 1024;
/** The largest that RabbitMQ agrees to: all headers of a message must fit in one frame. */
export const FRAME_BYTES = 131_072;

const KEY_HEADER = 'settle-key';
/** What quorum queues count: how often it was given out before. */
const COUNT_HEADER = 'x-delivery-count';
/** The binding's other prefix, for clients whose header names must be identifiers. */
const OTHER_PREFIX = 'cloudEvents_';
/** The broker acts on these: it would send copies elsewhere, and it closes the channel where they are no lists. */
const ROUTING_HEADERS = new Set(['CC', 'BCC']);
/** Of the frame that holds the headers, for all that is not headers. */
const FRAME_RESERVE = 2_048;
const SHORT_BYTES = 255;

/**
 * Writes a message for the default exchange, which knows every queue by its name.
 * It is kept on disk, and comes back when there is no such queue.
 */
export function toEnvelope({ id, key, contentType, headers }: BrokerMessage, queue: string): Envelope {
  return {
    exchange: '',
    routingKey: queue,
    mandatory: true,
    durable: true,
    messageId: id,
    contentType,
    headers: {
      ...Object.fromEntries(Object.entries(headers).filter(([name]) => !ROUTING_HEADERS.has(name))),
      ...(key === undefined ? {} : { [KEY_HEADER]: key }),
    },
  };
}

/**
 * Makes sure that the broker can take a message: one that it cannot take makes it close the channel, and all others on it fail too.
 *
 * @param maxBytes of the body
 * @throws BrokerError `too-large`
 */
export function checkSize(message: BrokerMessage, queue: string, maxBytes: number): void {
  const { id, key = '', contentType, headers, body } = message;
  const refuse = (what: string, size: number, limit: number): never => {
    const text = `message '${id}' to queue '${queue}' was not sent: its ${what} is of ${size} bytes, RabbitMQ takes ${limit}`;
    throw new BrokerError('too-large', `${text}; send a reference to what is large`);
  };
  const ofHeaders = Object.entries(headers).reduce(
    (sum, [name, value]) => sum + Buffer.byteLength(name) + Buffer.byteLength(value) + 6,
    Buffer.byteLength(key),
  );
  if (body.length + ofHeaders > maxBytes) refuse('body with headers', body.length + ofHeaders, maxBytes);
  if (ofHeaders > FRAME_BYTES - FRAME_RESERVE) refuse('headers', ofHeaders, FRAME_BYTES - FRAME_RESERVE);
  for (const [what, text] of Object.entries({ id, 'media type': contentType })) {
    if (Buffer.byteLength(text) > SHORT_BYTES) refuse(what, Buffer.byteLength(text), SHORT_BYTES);
  }
  const longest = Object.keys(headers).find((name) => Buffer.byteLength(name) > SHORT_BYTES);
  if (longest !== undefined) refuse('header name', Buffer.byteLength(longest), SHORT_BYTES);
}

/** Reads a message that came from a queue, whoever wrote it. */
export function toIncoming(delivery: AsyncMessage, queue: string): IncomingMessage {
  const all = new Map(
    Object.entries(delivery.headers ?? {}).flatMap(([name, value]) => {
      const text = ROUTING_HEADERS.has(name) || name === COUNT_HEADER ? undefined : toText(value);
      return text === undefined ? [] : [[normalise(name), text]];
    }),
  );
  const key = all.get(KEY_HEADER);
  all.delete(KEY_HEADER);
  return {
    id: delivery.messageId ?? all.get(`${ATTRIBUTE_PREFIX}id`) ?? '',
    ...(key === undefined ? {} : { key }),
    contentType: delivery.contentType ?? 'application/octet-stream',
    headers: Object.fromEntries(all),
    body: delivery.body as Buffer,
    from: queue,
    isRedelivered: delivery.redelivered || deliveriesBefore(delivery) > 0,
  };
}

/** How often a message has been given out before this time; 0 where the queue does not count. */
export function deliveriesBefore({ headers }: AsyncMessage): number {
  const count: unknown = headers?.[COUNT_HEADER];
  return typeof count === 'number' ? count : 0;
}

/**
 * Makes a channel hand out bodies as they are. The client reads JSON where it comes without a content encoding: numbers beyond 2^53 would be
 * rounded before anybody could refuse them, and what was malformed could not be kept as it came.
 */
export function keepBodiesAsBytes(channel: Channel): void {
  const hooked = channel as unknown as { _onHeader(frame: { fields: { contentEncoding?: string } }): void };
  const read = hooked._onHeader.bind(channel);
  hooked._onHeader = (frame) => {
    frame.fields.contentEncoding ??= 'identity';
    read(frame);
  };
}

function normalise(name: string): string {
  return name.startsWith(OTHER_PREFIX) ? `${ATTRIBUTE_PREFIX}${name.slice(OTHER_PREFIX.length)}` : name;
}

/** Others may have written a header as a number, a time, a table. */
function toText(value: unknown): string | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === 'string') return value;
  if (value instanceof Date) return value.toISOString();
  if (Buffer.isBuffer(value)) return value.toString('utf8');
  return typeof value === 'object' ? tableToText(value) : String(value as number | boolean | bigint);
}

function tableToText(value: object): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each));
}
