import type { IncomingMessage } from 'node:http';
import { ENVELOPE_HEADERS } from '../saga/envelope.js';
import {
  checkContentType,
  MAX_BODY_BYTES,
  readAttributes,
  readJson,
  requireMessage,
  type AttributeSource,
} from './attributes.js';
import type { Message } from './message.js';
import { BadRequestError } from './problem.js';

/**
 * Reads a message from an HTTP request: CloudEvents 1.0 in binary mode, the effect key as Idempotency-Key.
 *
 * @param type the message type that the path names
 * @throws BadRequestError with the status and code to answer; nothing was changed
 */
export async function readMessage(request: IncomingMessage, type: string): Promise<Message> {
  const { headers } = request;
  checkContentType(headers['content-type'] ?? '');
  const source: AttributeSource = { carrier: 'header', names: ENVELOPE_HEADERS, get: (name) => headers[name] };
  const attributes = readAttributes(source, type);
  const payload = readJson(await readBody(request));
  return requireMessage({ ...attributes, payload }, source);
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
