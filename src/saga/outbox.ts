import type { Reason } from './errors.js';
import type { Answer } from './outcome.js';
import { backoffMs, PERSISTENT_RETRY, type RetryPolicy } from './retry.js';

/**
 * The states of an outbox message, as a producer sees them.
 * ```
 * pending ─▶ delivered
 *    └─────▶ dead (refused, without a route, or no outcome within the budget)
 *              └──▶ pending | delivered | discarded (an operator sends it again, vouches for it, gives it up)
 * ```
 */
export const OUTBOX_STATES = ['pending', 'delivered', 'dead', 'discarded'] as const;
export type OutboxState = (typeof OUTBOX_STATES)[number];

/** How the relay tries; what it has not delivered by then gets a workflow of its own. */
export const RELAY_RETRY: RetryPolicy & { readonly attempts: number } = {
  attempts: 5,
  initialMs: 200,
  factor: 2,
  capMs: 20_000,
  budgetMs: PERSISTENT_RETRY.budgetMs,
  timeoutMs: PERSISTENT_RETRY.timeoutMs,
};

/** The input of an outbox message's workflow. */
export interface OutboxStart {
  readonly messageId: string;
  readonly tenantId: string;
  /** The message type. */
  readonly type: string;
}

/** The result of an outbox message's workflow, as the Temporal Web UI shows it. */
export interface OutboxEnd {
  readonly messageId: string;
  readonly state: Exclude<OutboxState, 'pending' | 'discarded'>;
}

/** What an attempt means for its message. */
export type OutboxMove =
  | { readonly to: 'delivered'; readonly result: unknown }
  | { readonly to: 'dead'; readonly reason: Reason }
  /** Tried again by the relay, after a wait. */
  | { readonly to: 'relay'; readonly waitMs: number; readonly error: string }
  /** The first attempts have failed. */
  | { readonly to: 'workflow'; readonly error: string };

/** An attempt that has ended. */
export interface EndedAttempt {
  /** 1 for the first. */
  readonly attempt: number;
  /** Since the first attempt began, in ms. */
  readonly ageMs: number;
  readonly outcome: Answer;
}

/**
 * Says what an attempt means for its message.
 *
 * @param random from 0 to 1: the back-off is shortened by up to half, so that what failed together is not tried again together
 */
export function moveAfter({ attempt, ageMs, outcome }: EndedAttempt, random: number): OutboxMove {
  if (outcome.kind === 'done') return { to: 'delivered', result: outcome.result };
  if (outcome.kind === 'rejected') return { to: 'dead', reason: outcome.reason };
  const error = outcome.kind === 'working' ? 'still being worked on' : outcome.detail;
  if (ageMs > RELAY_RETRY.budgetMs) return { to: 'dead', reason: { code: 'no-outcome', message: error } };
  if (attempt >= RELAY_RETRY.attempts) return { to: 'workflow', error };
  const pauseMs = backoffMs(RELAY_RETRY, attempt) * (1 - random / 2);
  return { to: 'relay', waitMs: Math.min(Math.max(pauseMs, outcome.retryAfterMs ?? 0), RELAY_RETRY.capMs), error };
}
