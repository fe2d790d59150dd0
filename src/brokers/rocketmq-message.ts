import { createHash, randomBytes } from 'node:crypto';
import type { Message } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import type { BrokerMessage, IncomingMessage } from './broker.js';
import { resourceOf, timestampOf } from './rocketmq-values.js';

/** A map as the stubs write it. */
type Properties = Pick<Map<string, string>, 'set'> & { forEach(tell: (value: string, name: string) => void): void };

/** How RocketMQ treats a message; a topic takes one kind, or all where it is mixed. */
export type MessageKind = 'normal' | 'fifo' | 'transaction';

/** As the protocol writes it. */
export function typeOf(kind: MessageKind): number {
  const { NORMAL, FIFO, TRANSACTION } = definitions.MessageType;
  return { normal: NORMAL, fifo: FIFO, transaction: TRANSACTION }[kind];
}

/** Properties of our own: RocketMQ has no place for them that takes every text. */
const ID = 'settle-id';
const KEY = 'settle-key';
const CONTENT_TYPE = 'content-type';

/** Headers that RocketMQ would refuse, as JSON: it keeps names for itself, and wants no control characters. */
const OTHER_HEADERS = 'settle-headers';
/** Tells that the body, which RocketMQ wants to be something, is nothing. */
const EMPTY = 'settle-empty';
const FIT_NAME = /^[a-z][a-z0-9._-]*$/;
const FIT_VALUE = /^[^\p{Cc}]+$/u;

/** The longest message group that the proxy takes. */
const LONGEST_GROUP = 63;

/** Writes a message; what is not RocketMQ's own are its user properties. */
export function encodeMessage(message: BrokerMessage, to: string, kind: MessageKind): Message {
  const system = new definitions.SystemProperties()
    .setMessageId(createMessageId())
    .setBornHost('settle')
    // a half message without it counts as decades old, and is put aside at the first check
    .setBornTimestamp(timestampOf(Date.now()))
    .setBodyEncoding(definitions.Encoding.IDENTITY)
    .setMessageType(typeOf(kind) as never)
    // operators find it by `mqadmin queryMsgByKey`, where the blank parts keys
    .setKeysList(/^\S+$/.test(message.id) ? [message.id] : []);
  if (kind === 'fifo') system.setMessageGroup(groupOf(message.key ?? message.id));
  const encoded = new definitions.Message()
    .setTopic(resourceOf(to))
    .setBody(message.body.length > 0 ? message.body : NOTHING)
    .setSystemProperties(system);
  const properties = encoded.getUserPropertiesMap() as Properties;
  for (const [name, value] of Object.entries(propertiesOf(message))) properties.set(name, value);
  return encoded;
}

/** Reads a message, also one that another program has written. */
export function decodeMessage(message: Message): IncomingMessage {
  const system = message.getSystemProperties()!;
  const headers: Record<string, string> = {};
  (message.getUserPropertiesMap() as Properties).forEach((value, name) => (headers[name] = value));
  const { [ID]: id, [KEY]: key, [CONTENT_TYPE]: contentType = 'application/octet-stream', ...rest } = headers;
  const { [EMPTY]: isEmpty, [OTHER_HEADERS]: unfit, ...fit } = rest;
  const group = system.getMessageGroup();
  return {
    id: id ?? system.getMessageId(),
    // ours may be in a group only because their topic asks for one
    key: id === undefined && group !== '' ? group : key,
    contentType,
    headers: { ...fit, ...readHeaders(unfit) },
    body: isEmpty === undefined ? Buffer.from(message.getBody_asU8()) : Buffer.alloc(0),
    from: message.getTopic()!.getName(),
    isRedelivered: (system.getDeliveryAttempt() ?? 1) > 1,
  };
}

/** Bytes of a message's properties, which the broker limits apart from its body. */
export function headerBytesOf(message: BrokerMessage): number {
  const texts = Object.entries(propertiesOf(message)).flat();
  return texts.reduce((bytes, text) => bytes + Buffer.byteLength(text), 0);
}

const NOTHING = Buffer.from(' ');

function propertiesOf({ id, key, contentType, headers, body }: BrokerMessage): Record<string, string> {
  const isFit = ([name, value]: [string, string]): boolean => FIT_NAME.test(name) && FIT_VALUE.test(value);
  const all = Object.entries(headers);
  const unfit = all.filter((header) => !isFit(header));
  return {
    ...Object.fromEntries(all.filter(isFit)),
    ...(unfit.length > 0 && { [OTHER_HEADERS]: JSON.stringify(Object.fromEntries(unfit)) }),
    ...(body.length === 0 && { [EMPTY]: 'true' }),
    ...(key !== undefined && { [KEY]: key }),
    [ID]: id,
    [CONTENT_TYPE]: contentType,
  };
}

function readHeaders(unfit: string | undefined): Record<string, string> {
  try {
    return unfit === undefined ? {} : (JSON.parse(unfit) as Record<string, string>);
  } catch {
    // another program has used the name for something of its own
    return {};
  }
}

function groupOf(key: string): string {
  const isFit = key !== '' && Buffer.byteLength(key) <= LONGEST_GROUP;
  return isFit ? key : createHash('sha256').update(key).digest('base64url');
}

const PROCESS = randomBytes(8);
const SINCE_2021 = Date.UTC(2021, 0, 1);
let count = 0;

/**
 * What brokers and tools of RocketMQ expect: version, process, seconds, a counter, in hexadecimal.
 *
 * @see https://github.com/apache/rocketmq-clients/blob/master/docs/message_id.md
 */
function createMessageId(): string {
  const numbers = Buffer.alloc(8);
  numbers.writeUInt32BE(Math.floor((Date.now() - SINCE_2021) / 1_000), 0);
  numbers.writeUInt32BE((count = (count + 1) >>> 0), 4);
  return `01${PROCESS.toString('hex')}${numbers.toString('hex')}`.toUpperCase();
}
