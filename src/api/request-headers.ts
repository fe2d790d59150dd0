import type { IncomingMessage } from 'node:http';
import { ProblemError } from './problems.js';

/** The part of a request that its headers are read from. */
export type RequestHeaders = Pick<IncomingMessage, 'headers' | 'headersDistinct'>;

const VISIBLE = /^[\x21-\x7e]{1,255}$/;
const QUOTED = /^"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"$/;

/**
 * The Idempotency-Key: 1 to 255 visible ASCII characters. The quotes of the RFC draft's structured field are taken off.
 *
 * @throws ProblemError `invalid-idempotency-key` when it is absent, malformed or sent in more than one line
 */
export function readIdempotencyKey({ headersDistinct }: RequestHeaders): string {
  const lines = headersDistinct['idempotency-key'] ?? [];
  if (lines.length !== 1) throw badKey(lines.length === 0 ? 'is required' : 'must be sent once');
  const line = lines[0]!.trim();
  const key = line.startsWith('"') ? QUOTED.exec(line)?.[1]?.replace(/\\(["\\])/g, '$1') : line;
  if (key === undefined || !VISIBLE.test(key)) throw badKey('must be 1 to 255 visible ASCII characters');
  return key;
}

function badKey(problem: string): ProblemError {
  return new ProblemError('invalid-idempotency-key', `the header Idempotency-Key ${problem}`, {
    errors: [{ header: 'Idempotency-Key', detail: problem }],
  });
}

/** The longest wait that a client may ask for, in seconds. */
export const MAX_WAIT_SECONDS = 30;

/**
 * How long the client wants to wait for the result, from `Prefer: wait=<seconds>` (RFC 7240); other preferences are ignored.
 *
 * @returns ms, or undefined when it did not ask
 * @throws ProblemError `invalid-request` unless the wait is a whole number from 1 to 30
 */
export function readWaitMs({ headersDistinct }: RequestHeaders): number | undefined {
  const preferences = (headersDistinct.prefer ?? []).flatMap((line) => line.split(','));
  const wait = preferences.map((each) => each.trim()).find((each) => /^wait\s*(?:[=;]|$)/i.test(each));
  if (wait === undefined) return undefined;
  const seconds = Number(/^wait\s*=\s*(?:(\d{1,2})|"(\d{1,2})")\s*(?:;.*)?$/i.exec(wait)?.slice(1).find(Boolean));
  if (seconds >= 1 && seconds <= MAX_WAIT_SECONDS) return seconds * 1_000;
  const detail = `wait must be a whole number of seconds from 1 to ${MAX_WAIT_SECONDS}`;
  throw new ProblemError('invalid-request', `the header Prefer is not acceptable: ${detail}`, {
    errors: [{ header: 'Prefer', detail }],
  });
}

/**
 * The last event that a reconnecting client has seen; 0 when it starts.
 *
 * @throws ProblemError `invalid-request` when it is no id of ours
 */
export function readLastEventId({ headers }: RequestHeaders): number {
  const id = headers['last-event-id'] ?? '0';
  if (typeof id === 'string' && /^\d{1,15}$/.test(id)) return Number(id);
  const detail = 'must be the id of an event of this stream';
  throw new ProblemError('invalid-request', `the header Last-Event-ID ${detail}`, {
    errors: [{ header: 'Last-Event-ID', detail }],
  });
}

/** A W3C `traceparent` as it came, to be handed on. */
export function readTraceparent(request: Pick<RequestHeaders, 'headers'>): string | undefined {
  return readTrace(request) && (request.headers.traceparent as string).slice(0, 55);
}

/** The trace and parent span of a W3C `traceparent`; a malformed one counts as absent, as the specification asks. */
export function readTrace({
  headers,
}: Pick<RequestHeaders, 'headers'>): { traceId: string; spanId: string } | undefined {
  const header = headers.traceparent;
  const match =
    typeof header === 'string' ? /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-[\da-f]{2}(-.*)?$/.exec(header) : null;
  if (!match) return undefined;
  const [, version, traceId, spanId, rest] = match;
  const isForbidden = version === 'ff' || (version === '00' && rest !== undefined);
  if (isForbidden || /^0+$/.test(traceId!) || /^0+$/.test(spanId!)) return undefined;
  return { traceId: traceId!, spanId: spanId! };
}
