import type { IncomingMessage } from 'node:http';
import { ENVELOPE_HEADERS } from '../saga/envelope.js';
import { BadJsonError, parseJson } from './json.js';
import { messageOf, type Message } from './message.js';
import { BadRequestError } from './problem.js';

/** Larger bodies are refused before they are held in memory. */
export const MAX_BODY_BYTES = 256 * 1024;

const ATTRIBUTE = /^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$/;
const REVISION = /^\d{1,9}$/;

/**
 * Reads a message from an HTTP request: CloudEvents 1.0 in binary mode, the effect key as Idempotency-Key.
 *
 * @param type the message type that the path names
 * @throws BadRequestError with the status and code to answer; nothing was changed
 */
export async function readMessage(request: IncomingMessage, type: string): Promise<Message> {
  checkContentType(request);
  const attributes = readAttributes(request, type);
  const payload = readPayload(await readBody(request));
  const message = messageOf({ ...attributes, payload });
  if (message) return message;
  throw new BadRequestError(
    400,
    'bad-effect-key',
    'idempotency-key must be <sagaId>/<step>/do or /undo of the saga in ce-sagaid',
  );
}

function checkContentType({ headers }: IncomingMessage): void {
  const [mediaType = '', ...parameters] = (headers['content-type'] ?? '').toLowerCase().split(';');
  const charset = parameters.map((text) => text.trim()).find((text) => text.startsWith('charset='));
  if (mediaType.trim() === 'application/json' && (charset ?? 'charset=utf-8').replaceAll('"', '') === 'charset=utf-8')
    return;
  throw new BadRequestError(415, 'unsupported-media-type', 'the content type must be application/json in UTF-8');
}

function readAttributes(request: IncomingMessage, type: string): Omit<Message, 'payload' | 'effect' | 'doKey'> {
  const read = (name: keyof typeof ENVELOPE_HEADERS): string | undefined => readHeader(request, ENVELOPE_HEADERS[name]);
  const demand = (name: keyof typeof ENVELOPE_HEADERS): string => {
    const value = read(name);
    if (value !== undefined) return value;
    throw new BadRequestError(400, 'missing-header', `the header '${ENVELOPE_HEADERS[name]}' is missing`);
  };
  if (demand('specVersion') !== '1.0') throw badHeader('specVersion', "must be '1.0'");
  if (demand('type') !== type) throw badHeader('type', `must be the type in the path, '${type}'`);
  const readRevision = (name: 'revision' | 'mayRepeat'): number | undefined => {
    const value = read(name);
    if (value !== undefined && !REVISION.test(value)) throw badHeader(name, 'must be a whole number');
    return value === undefined ? undefined : Number(value);
  };
  const revision = readRevision('revision') ?? 0;
  const effectKey = demand('effectKey');
  return {
    messageId: demand('messageId'),
    source: demand('source'),
    type,
    time: read('time') ?? new Date().toISOString(),
    sagaId: read('sagaId') ?? effectKey.split('/', 1)[0]!,
    tenantId: read('tenantId') ?? 'default',
    effectKey,
    revision,
    mayRepeat: readRevision('mayRepeat') === revision,
    traceparent: read('traceparent'),
  };
}

function readHeader({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  if (value === undefined) return undefined;
  if (typeof value === 'string' && ATTRIBUTE.test(value)) return value;
  throw new BadRequestError(400, 'bad-header', `the header '${name}' must be 1 to 200 printable ASCII characters`);
}

function badHeader(name: keyof typeof ENVELOPE_HEADERS, problem: string): BadRequestError {
  return new BadRequestError(400, 'bad-header', `the header '${ENVELOPE_HEADERS[name]}' ${problem}`);
}

async function readBody(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new BadRequestError(413, 'body-too-large', `the body is longer than ${MAX_BODY_BYTES} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_BODY_BYTES) throw tooLarge;
  const chunks: Buffer[] = [];
  let size = 0;
  // destroying the request would reset the connection before its sender has read the answer
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw tooLarge;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function readPayload(body: Buffer): unknown {
  try {
    return parseJson(body);
  } catch (error) {
    if (!(error instanceof BadJsonError)) throw error;
    throw new BadRequestError(400, 'bad-json', error.message, { cause: error });
  }
}
