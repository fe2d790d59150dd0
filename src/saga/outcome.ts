import type { Reason } from './errors.js';

/**
 * What came of sending a message once. Over a broker the participant's answer comes by itself: `accepted` says that the broker has
 * the message durably, and that the answer is now waited for.
 */
export type Outcome =
  | Answer
  | {
      readonly kind: 'accepted';
      /** What is left of the attempt, in ms: no answer by then is unknown. */
      readonly leftMs: number;
    };

/**
 * A participant's answer, once understood. Everything that is not clearly one of the first three is `unknown`:
 * it may have been applied, so it is tried again and, if given up, undone.
 *
 * | answer | HTTP status |
 * |---|---|
 * | done | 2xx except 202 |
 * | rejected, definitely not applied | 400, 404, 409, 410, 422 |
 * | working | 202, 425 (with Retry-After) |
 * | unknown | anything else: timeouts, resets, 408, 429, 5xx, redirects |
 */
export type Answer =
  | { readonly kind: 'done'; readonly result: unknown }
  | { readonly kind: 'rejected'; readonly reason: Reason }
  | { readonly kind: 'working'; readonly retryAfterMs?: number }
  | { readonly kind: 'unknown'; readonly detail: string; readonly retryAfterMs?: number };

/** The word for what a status says, before its body is read. */
export type OutcomeKind = Answer['kind'];

const REJECTED: ReadonlySet<number> = new Set([400, 404, 409, 410, 422]);
const WORKING: ReadonlySet<number> = new Set([202, 425]);

/**
 * Reads an HTTP status by the outcome grammar.
 *
 * @example outcomeKindOf(409) // 'rejected'
 */
export function outcomeKindOf(status: number): OutcomeKind {
  if (WORKING.has(status)) return 'working';
  if (status >= 200 && status < 300) return 'done';
  return REJECTED.has(status) ? 'rejected' : 'unknown';
}

/**
 * Reads a Retry-After header (RFC 9110 §10.2.3): seconds or an HTTP date.
 *
 * @param now the present, in ms since the epoch
 * @returns ms from now, at most one hour, or undefined when absent or unreadable
 */
export function retryAfterMs(header: string | undefined, now: number): number | undefined {
  if (header === undefined) return undefined;
  const seconds = /^\d{1,9}$/.test(header.trim()) ? Number(header) * 1_000 : Date.parse(header) - now;
  return Number.isNaN(seconds) ? undefined : Math.min(3_600_000, Math.max(0, seconds));
}
