import { EventEmitter } from 'node:events';
import { Agent, errors, request } from 'undici';
import { ENVELOPE_HEADERS, type Envelope } from '../saga/envelope.js';
import type { Reason } from '../saga/errors.js';
import { outcomeKindOf, retryAfterMs, type Outcome } from '../saga/outcome.js';
import type { HttpRoute, Transport } from './transport.js';

/** Larger answers are not read: a result travels through workflow histories, where 64 KiB is the limit we keep. */
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * CloudEvents 1.0 over HTTP, binary mode: the payload is the body, the attributes are headers.
 * Connections are kept alive and shared per origin.
 *
 * @param connections per origin at the most. @default 64
 */
export function createHttpTransport(connections = 64): Transport<HttpRoute> {
  const agent = new Agent({
    ...{ connections, pipelining: 1, keepAliveTimeout: 30_000, connect: { timeout: 2_000 } },
    maxResponseSize: MAX_ANSWER_BYTES,
  });
  return {
    send: async (envelope, route, timeoutMs) => {
      const limitMs = Math.min(timeoutMs, route.timeoutMs ?? timeoutMs);
      try {
        return await exchange(agent, { envelope, url: route.url, limitMs });
      } catch (error) {
        return { kind: 'unknown', detail: describe(error as Error) };
      }
    },
    close: () => agent.close(),
  };
}

interface Exchange {
  readonly envelope: Envelope;
  readonly url: string;
  readonly limitMs: number;
}

async function exchange(agent: Agent, { envelope, url, limitMs }: Exchange): Promise<Outcome> {
  const limit = new TimeLimit(limitMs);
  try {
    const { statusCode, headers, body } = await request(url, {
      method: 'POST',
      dispatcher: agent,
      headers: headersOf(envelope),
      body: JSON.stringify(envelope.payload),
      signal: limit,
    });
    return outcomeOf({ statusCode, retryAfter: headers['retry-after'], body: await body.text() });
  } finally {
    limit.clear();
  }
}

/** Ends a request that takes too long. An `AbortSignal.timeout` does so too, for a tenth of all that a request costs. */
class TimeLimit extends EventEmitter {
  reason?: Error;
  readonly #timer: NodeJS.Timeout;

  constructor(limitMs: number) {
    super();
    this.#timer = setTimeout(() => {
      this.reason = new Error(`no answer within ${limitMs} ms`);
      this.emit('abort');
    }, limitMs);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

interface Answer {
  readonly statusCode: number;
  readonly retryAfter: string | string[] | undefined;
  readonly body: string;
}

function outcomeOf({ statusCode, retryAfter, body }: Answer): Outcome {
  const waitMs = retryAfterMs(Array.isArray(retryAfter) ? retryAfter[0] : retryAfter, Date.now());
  switch (outcomeKindOf(statusCode)) {
    case 'done':
      return doneOutcome(body, statusCode);
    case 'rejected':
      return { kind: 'rejected', reason: reasonOf(body, statusCode) };
    case 'working':
      return { kind: 'working', retryAfterMs: waitMs };
    default:
      return { kind: 'unknown', detail: `HTTP ${statusCode}`, retryAfterMs: waitMs };
  }
}

function headersOf(envelope: Envelope): Record<string, string> {
  const headers: Record<string, string> = {
    'content-type': 'application/json',
    accept: 'application/json, application/problem+json',
    [ENVELOPE_HEADERS.specVersion]: '1.0',
    [ENVELOPE_HEADERS.messageId]: envelope.messageId,
    [ENVELOPE_HEADERS.source]: envelope.source,
    [ENVELOPE_HEADERS.type]: envelope.type,
    [ENVELOPE_HEADERS.time]: envelope.time,
    [ENVELOPE_HEADERS.sagaId]: envelope.sagaId,
    [ENVELOPE_HEADERS.tenantId]: envelope.tenantId,
    [ENVELOPE_HEADERS.revision]: String(envelope.revision),
    [ENVELOPE_HEADERS.effectKey]: envelope.effectKey,
  };
  // its revision, so that nothing on the way can lend it to another one
  if (envelope.mayRepeat) headers[ENVELOPE_HEADERS.mayRepeat] = String(envelope.revision);
  if (envelope.traceparent) headers[ENVELOPE_HEADERS.traceparent] = envelope.traceparent;
  return headers;
}

function doneOutcome(body: string, status: number): Outcome {
  if (body === '') return { kind: 'done', result: null };
  const result = parse(body);
  if (result === undefined) return { kind: 'unknown', detail: `HTTP ${status} with an answer that is not JSON` };
  return { kind: 'done', result };
}

/** The reason of a rejection, from problem details (RFC 9457) where the participant sends them. */
function reasonOf(body: string, status: number): Reason {
  const problem = (parse(body) ?? {}) as Record<string, unknown>;
  // cut and cleaned to what the ledger can hold
  const text = (name: string): string | undefined =>
    typeof problem[name] === 'string' ? problem[name].slice(0, 500).replaceAll('\0', '').toWellFormed() : undefined;
  return {
    code: text('code') ?? `http-${status}`,
    message: text('detail') ?? text('title') ?? `refused with HTTP ${status}`,
  };
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    // an unreadable body is an answer of its own kind, judged by the caller
    return undefined;
  }
}

function describe(error: Error): string {
  if (error instanceof errors.ResponseExceededMaxSizeError)
    return `the answer is longer than ${MAX_ANSWER_BYTES} bytes`;
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined || error.message.includes(code) ? error.message : `${code}: ${error.message}`;
}
