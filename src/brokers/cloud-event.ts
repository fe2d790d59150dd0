import type { Envelope } from '../saga/envelope.js';
import type { BrokerMessage } from './broker.js';

/**
 * How an envelope is written for a broker.
 *
 * - `structured`: one JSON document holds attributes and payload
 * - `binary`: the body is the payload, the attributes are headers; only where a binding defines their names
 *
 * @see https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
 */
export type ContentMode = 'structured' | 'binary';

/** The media type of structured mode. */
export const STRUCTURED_TYPE = 'application/cloudevents+json';

/** Attribute → value; the payload is apart. Names are CloudEvents': lower-case letters and digits. */
export type Attributes = Readonly<Record<string, string>>;

/** A CloudEvent, taken apart. */
export interface CloudEvent {
  readonly attributes: Attributes;
  readonly data: unknown;
}

/** The attributes that an envelope travels with. */
export function attributesOf(envelope: Envelope): Attributes {
  const all: Record<string, string | undefined> = {
    specversion: '1.0',
    id: envelope.messageId,
    source: envelope.source,
    type: envelope.type,
    time: envelope.time,
    datacontenttype: 'application/json',
    sagaid: envelope.sagaId,
    tenantid: envelope.tenantId,
    effectkey: envelope.effectKey,
    revision: String(envelope.revision),
    // its revision, so that nothing on the way can lend it to another one
    mayrepeat: envelope.mayRepeat ? String(envelope.revision) : undefined,
    partitionkey: envelope.orderKey,
    replyto: envelope.replyTo?.address,
    replytoken: envelope.replyTo?.token,
    traceparent: envelope.traceparent,
  };
  return Object.fromEntries(Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/**
 * Writes an event.
 *
 * @param prefix in front of attribute names in binary mode; undefined: structured
 */
export function encodeCloudEvent({ attributes, data }: CloudEvent, prefix?: string): Omit<BrokerMessage, 'key'> {
  const id = attributes['id'] ?? '';
  if (prefix === undefined) {
    return {
      id,
      contentType: STRUCTURED_TYPE,
      headers: {},
      body: Buffer.from(JSON.stringify({ ...attributes, data })),
    };
  }
  const { datacontenttype: contentType = 'application/json', ...others } = attributes;
  const headers = Object.fromEntries(Object.entries(others).map(([name, value]) => [`${prefix}${name}`, value]));
  return { id, contentType, headers, body: Buffer.from(JSON.stringify(data ?? null)) };
}

/**
 * Reads an event, in whichever mode it was written.
 *
 * @param prefix in front of attribute names in binary mode
 * @param parse reads JSON; what it throws passes through
 * @returns undefined when it is no CloudEvent 1.0
 */
export function decodeCloudEvent(
  { contentType, headers, body }: BrokerMessage,
  { prefix, parse }: { readonly prefix?: string; readonly parse: (body: Buffer) => unknown },
): CloudEvent | undefined {
  if (contentType.split(';', 1)[0]!.trim().toLowerCase() === STRUCTURED_TYPE) {
    const document = parse(body);
    if (typeof document !== 'object' || document === null || Array.isArray(document)) return undefined;
    const { data, ...attributes } = document as Record<string, unknown>;
    if (attributes['specversion'] !== '1.0') return undefined;
    if (!Object.values(attributes).every((value) => typeof value === 'string')) return undefined;
    return { attributes: attributes as Attributes, data };
  }
  if (prefix === undefined || headers[`${prefix}specversion`] !== '1.0') return undefined;
  const named = Object.entries(headers).filter(([name]) => name.startsWith(prefix));
  const attributes = Object.fromEntries(named.map(([name, value]) => [name.slice(prefix.length), value]));
  return { attributes, data: parse(body) };
}
