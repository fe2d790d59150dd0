import type { Envelope } from '../saga/envelope.js';
import { BadJsonError, parseJson } from './json.js';
import { messageOf, type Message } from './message.js';
import { BadRequestError } from './problem.js';

/** Larger payloads are refused. */
export const MAX_BODY_BYTES = 256 * 1024;

/** The parts of an envelope that a message must or may have, whatever carries them. */
export type AttributeName =
  | 'specVersion'
  | 'messageId'
  | 'source'
  | 'type'
  | 'time'
  | 'sagaId'
  | 'tenantId'
  | 'effectKey'
  | 'revision'
  | 'mayRepeat'
  | 'traceparent';

/** Where attributes are read from. */
export interface AttributeSource {
  /** The word for one of them in errors; their codes are `bad-<carrier>` and `missing-<carrier>`. */
  readonly carrier: 'header' | 'attribute';
  /** What it is called there, e.g. `ce-sagaid`. */
  readonly names: Readonly<Record<AttributeName, string>>;
  /** What stands under a name there; anything but text is bad. */
  readonly get: (name: string) => unknown;
}

const ATTRIBUTE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/;
const REVISION = /^\d{1,9}$/;

/** Whether it can be an attribute's value: 1 to 200 printable ASCII characters. */
export function isAttribute(value: unknown): value is string {
  return typeof value === 'string' && ATTRIBUTE.test(value);
}

/**
 * Reads what an envelope needs, strictly.
 *
 * @param type the only one that is allowed. @default any
 * @throws BadRequestError that names the attribute; nothing was changed
 */
export function readAttributes(source: AttributeSource, type?: string): Omit<Envelope, 'payload'> {
  const read = (name: AttributeName): string | undefined => readAttribute(source, name);
  const demand = (name: AttributeName): string => {
    const value = read(name);
    if (value !== undefined) return value;
    const { carrier, names } = source;
    throw new BadRequestError(400, `missing-${carrier}`, `the ${carrier} '${names[name]}' is missing`);
  };
  const readRevision = (name: 'revision' | 'mayRepeat'): number | undefined => {
    const value = read(name);
    if (value !== undefined && !REVISION.test(value)) throw badAttribute(source, name, 'must be a whole number');
    return value === undefined ? undefined : Number(value);
  };
  if (demand('specVersion') !== '1.0') throw badAttribute(source, 'specVersion', "must be '1.0'");
  const found = demand('type');
  if (type !== undefined && found !== type) {
    throw badAttribute(source, 'type', `must be the type in the path, '${type}'`);
  }
  const revision = readRevision('revision') ?? 0;
  const effectKey = demand('effectKey');
  return {
    messageId: demand('messageId'),
    source: demand('source'),
    type: found,
    time: read('time') ?? new Date().toISOString(),
    sagaId: read('sagaId') ?? effectKey.split('/', 1)[0]!,
    tenantId: read('tenantId') ?? 'default',
    effectKey,
    revision,
    mayRepeat: readRevision('mayRepeat') === revision,
    traceparent: read('traceparent'),
  };
}

/** @throws BadRequestError when the body is anything but JSON in UTF-8 */
export function checkContentType(contentType: string): void {
  const [mediaType = '', ...parameters] = contentType.toLowerCase().split(';');
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  if (mediaType.trim() === 'application/json' && (charset ?? 'charset=utf-8').replaceAll('"', '') === 'charset=utf-8')
    return;
  throw new BadRequestError(415, 'unsupported-media-type', 'the content type must be application/json in UTF-8');
}

/**
 * Reads a body, strictly.
 *
 * @param maxDepth of nesting. @default 64
 * @throws BadRequestError
 */
export function readJson(body: Uint8Array, maxDepth?: number): unknown {
  try {
    return parseJson(body, maxDepth);
  } catch (error) {
    if (!(error instanceof BadJsonError)) throw error;
    throw new BadRequestError(400, 'bad-json', error.message, { cause: error });
  }
}

/**
 * Takes the effect key apart.
 *
 * @throws BadRequestError when it is none of the saga that is named
 */
export function requireMessage(envelope: Envelope, { names }: AttributeSource): Message {
  const message = messageOf(envelope);
  if (message) return message;
  const detail = `${names.effectKey} must be <sagaId>/<step>/do or /undo of the saga in ${names.sagaId}`;
  throw new BadRequestError(400, 'bad-effect-key', detail);
}

function readAttribute({ carrier, names, get }: AttributeSource, name: AttributeName): string | undefined {
  const value = get(names[name]);
  if (value === undefined || isAttribute(value)) return value;
  const detail = `the ${carrier} '${names[name]}' must be 1 to 200 printable ASCII characters`;
  throw new BadRequestError(400, `bad-${carrier}`, detail);
}

function badAttribute({ carrier, names }: AttributeSource, name: AttributeName, problem: string): BadRequestError {
  return new BadRequestError(400, `bad-${carrier}`, `the ${carrier} '${names[name]}' ${problem}`);
}
