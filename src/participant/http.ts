import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Logger } from 'pino';
import { isDatabaseUnavailable } from '../db/unavailable.js';
import { RetryableError } from '../saga/errors.js';
import { readMessage } from './http-message.js';
import type { InboxAnswer } from './inbox.js';
import type { ParticipantMetrics } from './metrics.js';
import { INVALID_PAYLOAD, UnknownTypeError, WrongActionError, type Participant } from './participant.js';
import { BadRequestError, problemOf, type Problem } from './problem.js';

/** What an HTTP face of a participant needs. */
export interface HttpOptions {
  readonly participant: Participant;
  readonly metrics: ParticipantMetrics;
  /** Resolves when the participant can work; the readiness answer depends on it. */
  readonly checkReady: () => Promise<unknown>;
  readonly logger?: Pick<Logger, 'error'>;
}

/** How one request is answered. */
interface Answer {
  readonly status: number;
  readonly body: string;
  readonly headers: Readonly<Record<string, string>>;
}

const RETRY_AFTER_S = 1;

/**
 * A handler for `node:http`.
 *
 * | request | answer |
 * |---|---|
 * | POST /messages/\<type\> | 200 and the result; `Idempotent-Replayed: true` when it was stored before |
 * | | 409 rejected or undone before it was done; 400, 404, 413, 415, 422 bad input: all definitely not applied now |
 * | | 422 `effect-key-reused`, `beyond-window`: what was done under this key before is for a person to find out |
 * | | 503 with Retry-After when the database is away or busy, 500 for a fault of the handler: unknown, send again |
 * | GET /health/live, /health/ready, /metrics | |
 */
export function createHttpHandler(options: HttpOptions): RequestListener {
  return (request, response) => {
    answer(options, request).then(
      (given) => send(request, response, given),
      (error: unknown) => send(request, response, failure(error, request, options.logger)),
    );
  };
}

async function answer(options: HttpOptions, request: IncomingMessage): Promise<Answer> {
  const path = (request.url ?? '/').split('?', 1)[0]!;
  const type = /^\/messages\/([a-z0-9.-]{1,100})$/.exec(path)?.[1];
  if (type !== undefined && options.participant.types.includes(type)) {
    return request.method === 'POST' ? deliver(options, request, type) : wrongMethod('POST');
  }
  if (!['/health/live', '/health/ready', '/metrics'].includes(path)) {
    return problem(problemOf(404, 'not-found', `there is nothing at '${path.slice(0, 200)}'`));
  }
  if (request.method !== 'GET' && request.method !== 'HEAD') return wrongMethod('GET, HEAD');
  if (path === '/metrics') {
    const { registry } = options.metrics;
    return { status: 200, body: await registry.metrics(), headers: { 'content-type': registry.contentType } };
  }
  if (path === '/health/ready') await options.checkReady();
  return json(200, { status: 'ok' });
}

async function deliver({ participant, metrics }: HttpOptions, request: IncomingMessage, type: string): Promise<Answer> {
  const message = await readMessage(request, type);
  const stopTimer = metrics.startTimer(type);
  try {
    return answerOf(await participant.deliver(message));
  } finally {
    stopTimer();
  }
}

function answerOf(given: InboxAnswer): Answer {
  const headers: Record<string, string> = given.via === 'record' ? { 'idempotent-replayed': 'true' } : {};
  if (given.kind === 'applied') return json(200, given.result, headers);
  const { code, message } = given.reason;
  return problem(problemOf(statusOf(given), code, message), headers);
}

function statusOf(given: Exclude<InboxAnswer, { kind: 'applied' }>): number {
  if (given.via === 'effect-key-reused' || given.via === 'beyond-window') return 422;
  return given.kind === 'rejected' && given.reason.code === INVALID_PAYLOAD ? 400 : 409;
}

function failure(error: unknown, request: IncomingMessage, logger: HttpOptions['logger']): Answer {
  if (error instanceof BadRequestError) return problem(problemOf(error.status, error.code, error.message));
  if (error instanceof UnknownTypeError) return problem(problemOf(404, 'unknown-type', error.message));
  if (error instanceof WrongActionError) return problem(problemOf(400, 'wrong-action', error.message));
  const seconds = retryAfterSeconds(error);
  if (seconds === undefined) {
    // the answer says nothing of the cause: the log does
    logger?.error(
      { err: error, url: request.url, key: request.headers['idempotency-key'] },
      'a message could not be handled',
    );
    return problem(problemOf(500, 'internal-error', 'the message could not be handled; send it again'));
  }
  const detail = 'the participant cannot tell the outcome now; send the message again';
  return problem(problemOf(503, 'unavailable', detail), { 'retry-after': String(seconds) });
}

function retryAfterSeconds(error: unknown): number | undefined {
  if (error instanceof RetryableError) return Math.ceil((error.retryAfterMs ?? RETRY_AFTER_S * 1_000) / 1_000);
  return isDatabaseUnavailable(error) ? RETRY_AFTER_S : undefined;
}

function wrongMethod(allow: string): Answer {
  return problem(problemOf(405, 'method-not-allowed', `use ${allow}`), { allow });
}

function json(status: number, body: unknown, headers: Readonly<Record<string, string>> = {}): Answer {
  return { status, body: JSON.stringify(body), headers: { ...headers, 'content-type': 'application/json' } };
}

function problem(body: Problem, headers: Readonly<Record<string, string>> = {}): Answer {
  return {
    status: body.status,
    body: JSON.stringify(body),
    headers: { ...headers, 'content-type': 'application/problem+json' },
  };
}

function send(request: IncomingMessage, response: ServerResponse, { status, body, headers }: Answer): void {
  // a body that nobody read stands between this answer and the next request on the connection
  const isUnread = !request.complete;
  response.writeHead(status, {
    ...headers,
    'content-length': Buffer.byteLength(body),
    'cache-control': 'no-store',
    ...(isUnread ? { connection: 'close' } : {}),
  });
  response.end(request.method === 'HEAD' ? undefined : body);
  if (isUnread) request.resume();
}
