import type { IncomingMessage } from '../brokers/broker.js';
import { decodeCloudEvent, STRUCTURED_TYPE, type CloudEvent } from '../brokers/cloud-event.js';
import {
  checkContentType,
  isAttribute,
  MAX_BODY_BYTES,
  readAttributes,
  readJson,
  requireMessage,
  type AttributeSource,
} from './attributes.js';
import { MAX_DEPTH } from './json.js';
import type { Message } from './message.js';
import { BadRequestError } from './problem.js';

/** Whom the outcome of a message goes to, and what it must say there. */
export interface ReplyTarget {
  readonly address: string;
  readonly token: string;
  readonly effectKey: string;
  readonly revision: number;
}

/** A message from a broker, read: or what is wrong with it. Either way its sender may be waiting. */
export type Reading =
  | { readonly message: Message; readonly target?: ReplyTarget }
  | { readonly message?: undefined; readonly fault: BadRequestError; readonly target?: ReplyTarget };

/** How CloudEvents 1.0 and this project's extensions call the attributes. */
const ATTRIBUTE_NAMES = {
  specVersion: 'specversion',
  messageId: 'id',
  source: 'source',
  type: 'type',
  time: 'time',
  sagaId: 'sagaid',
  tenantId: 'tenantid',
  effectKey: 'effectkey',
  revision: 'revision',
  mayRepeat: 'mayrepeat',
  traceparent: 'traceparent',
} as const;

/** What attributes may add to a body that holds them too. */
const MAX_ATTRIBUTES_BYTES = 16 * 1024;
const TOKEN = /^[\x21-\x7e]{1,2048}$/;
const MAX_ORDER_KEY_CHARACTERS = 1_024;

/**
 * Reads a message as strictly as over HTTP: CloudEvents 1.0, structured, or binary where the broker has a prefix for it.
 *
 * @param prefix of attributes in binary mode
 */
export function readBrokerMessage(incoming: IncomingMessage, prefix?: string): Reading {
  const { event, fault } = takeApart(incoming, prefix);
  if (!event) return { fault: fault ?? new BadRequestError(400, 'bad-event', 'the message is no CloudEvent 1.0') };
  const { attributes, data } = event;
  const target = replyTargetOf(attributes);
  try {
    if (fault) throw fault;
    checkContentType(contentTypeOf(incoming, attributes['datacontenttype']));
    // CloudEvents has a second place for data, for what is not JSON
    if ('data_base64' in attributes) throw new BadRequestError(415, 'unsupported-media-type', 'data must be JSON');
    const source: AttributeSource = {
      carrier: 'attribute',
      names: ATTRIBUTE_NAMES,
      get: (name) => attributes[name],
    };
    const envelope = {
      ...readAttributes(source),
      orderKey: attributes['partitionkey']?.slice(0, MAX_ORDER_KEY_CHARACTERS),
      replyTo: target && { address: target.address, token: target.token },
      payload: data ?? null,
    };
    return { message: requireMessage(envelope, source), target };
  } catch (error) {
    if (!(error instanceof BadRequestError)) throw error;
    return { fault: error, target };
  }
}

/** In binary mode the attributes can be read though the body cannot. */
function takeApart(incoming: IncomingMessage, prefix?: string): { event?: CloudEvent; fault?: BadRequestError } {
  const [maxBytes, maxDepth] = isStructured(incoming)
    ? [MAX_BODY_BYTES + MAX_ATTRIBUTES_BYTES, MAX_DEPTH + 1]
    : [MAX_BODY_BYTES, MAX_DEPTH];
  let fault: BadRequestError | undefined;
  const parse = (body: Buffer): unknown => {
    try {
      if (body.length <= maxBytes) return readJson(body, maxDepth);
      throw new BadRequestError(413, 'body-too-large', `the body is longer than ${maxBytes} bytes`);
    } catch (error) {
      if (!(error instanceof BadRequestError)) throw error;
      fault = error;
      return undefined;
    }
  };
  return { event: decodeCloudEvent(incoming, { prefix, parse }), fault };
}

function isStructured({ contentType }: IncomingMessage): boolean {
  return contentType.toLowerCase().startsWith(STRUCTURED_TYPE);
}

function contentTypeOf(incoming: IncomingMessage, dataContentType = 'application/json'): string {
  return isStructured(incoming) ? dataContentType : incoming.contentType;
}

/** Of a message that is wrong in other ways too: whoever waits for it is told. */
function replyTargetOf(attributes: CloudEvent['attributes']): ReplyTarget | undefined {
  const { replyto: address, replytoken: token, effectkey: effectKey, revision = '0' } = attributes;
  if (!isAttribute(address) || token === undefined || !TOKEN.test(token)) return undefined;
  if (!isAttribute(effectKey) || !/^\d{1,9}$/.test(revision)) return undefined;
  return { address, token, effectKey, revision: Number(revision) };
}
