import { timeOfId } from './ids.js';
import { allSteps, stepsOf, type Plan, type PlanStep } from './plan.js';
import type { CheckPlan } from './half-message.js';
import { PERSISTENT_RETRY } from './retry.js';

/** How long things are remembered, in ms. */
export interface Windows {
  /** How long an Idempotency-Key stands for its request, from acceptance; published. */
  readonly keyMs: number;
  /** How long the ledger keeps what has settled, from acceptance. */
  readonly retentionMs: number;
  /** How long after its acceptance an operator may have something sent again without confirming that it may repeat the effect. */
  readonly manualMs: number;
  /** How long participants remember what they have applied. */
  readonly inboxMs: number;
  /** How long a message may lie in a broker before it is consumed; 0 where every route is over HTTP. */
  readonly brokerMs: number;
}

const DAY_MS = 86_400_000;

/** What holds unless an installation says otherwise. */
export const DEFAULT_WINDOWS: Windows = {
  keyMs: 7 * DAY_MS,
  retentionMs: 30 * DAY_MS,
  manualMs: 14 * DAY_MS,
  inboxMs: 30 * DAY_MS,
  brokerMs: 0,
};

/** What brokers are taken to keep, where routes go over one and an installation says nothing else. */
export const DEFAULT_BROKER_MS = 3 * DAY_MS;

/** What a participant remembers, and what its senders need it to. */
export interface InboxWindow {
  /** How long it remembers what it has applied, in ms from the moment in the effect key. */
  readonly windowMs: number;
  /** For how long its senders may send a message again, in ms; a sender says it in its log when it starts. */
  readonly resendMs: number;
}

/** For how long something is sent again by itself, counted from the moment in its id. */
export interface Horizon {
  /** For people, e.g. `saga 'place-order'`. */
  readonly of: string;
  readonly ms: number;
  /** Whether it began with a request under an Idempotency-Key, whose client may ask again for as long. @default true */
  readonly hasKey?: boolean;
}

/** Thrown at start when a window is too short for what it must cover: it names the numbers and the setting to raise. */
export class WindowError extends Error {
  override readonly name = 'WindowError';
}

/**
 * How long a saga may be under way by itself: each step uses up its budget, then each that has an undo uses up that one's.
 * Steps of a group run at the same time. A deadline only makes it shorter.
 */
export function sagaHorizon(plan: Plan): Horizon {
  // the last attempt may begin at the very end of its budget
  const lastMs = longest(allSteps(plan), ({ retry, undoRetry }) => Math.max(retry.timeoutMs, undoRetry.timeoutMs));
  return { of: `saga '${plan.saga}'`, ms: forwardSpanMs(plan) + undoSpanMs(plan) + lastMs };
}

/** How long a saga may be on its way there, in ms. A wait asks nobody, and is over when its time is. */
export function forwardSpanMs({ items }: Plan): number {
  return sum(items.map((item) => longest(stepsOf(item), ({ timeoutMs, retry }) => timeoutMs ?? retry.budgetMs)));
}

/** How long a saga may be on its way back, in ms. */
export function undoSpanMs({ items }: Plan): number {
  return sum(items.map((item) => longest(stepsOf(item), ({ undo, undoRetry }) => (undo ? undoRetry.budgetMs : 0))));
}

/**
 * How long a half message may be under way by itself: checks that were answered, checks that were not, then its delivery.
 *
 * @param plan with the longest `firstMs` that producers may ask for
 */
export function halfMessageHorizon({ firstMs, horizonMs, capMs, timeoutMs }: CheckPlan): Horizon {
  const { budgetMs, timeoutMs: lastMs } = PERSISTENT_RETRY;
  return { of: 'half messages', ms: firstMs + 2 * (horizonMs + capMs + timeoutMs) + budgetMs + lastMs };
}

/** As `settle.send` checks them. */
const LONGEST_DELAY_MS = 7 * DAY_MS;
const OLDEST_ID_MS = DAY_MS;

/** How long an outbox message may be under way by itself: its delay, the relay's attempts, then those of a workflow. */
export function outboxHorizon(): Horizon {
  const { budgetMs, timeoutMs } = PERSISTENT_RETRY;
  return { of: 'outbox messages', ms: OLDEST_ID_MS + LONGEST_DELAY_MS + 2 * (budgetMs + timeoutMs), hasKey: false };
}

/**
 * For how long a message may come again: the longest horizon, or a person's last retry within the manual window and what follows
 * it, and then what it lies in a broker.
 */
export function resendMs(
  horizons: readonly Horizon[],
  { manualMs, brokerMs }: Pick<Windows, 'manualMs' | 'brokerMs'>,
): number {
  return longestOf(horizons).ms + manualMs + brokerMs;
}

/**
 * Makes sure that every window covers what it must.
 *
 * @throws WindowError that says which window is too short for which numbers, and which setting to raise
 */
export function assertWindows(windows: Windows, horizons: readonly Horizon[]): void {
  const { keyMs, retentionMs, manualMs, inboxMs, brokerMs } = windows;
  const longest = longestOf(horizons);
  const neededMs = resendMs(horizons, windows);
  if (inboxMs < neededMs) {
    const broker = brokerMs > 0 ? `, brokers ${days(brokerMs)}` : '';
    throw new WindowError(
      `the inbox window of ${days(inboxMs)} is shorter than the ${days(neededMs)} in which a message may be sent again ` +
        `(retries of ${longest.of} ${days(longest.ms)}, manual window ${days(manualMs)}${broker}); raise SETTLE_INBOX_WINDOW`,
    );
  }
  const longestKeyed = longestOf(horizons.filter(({ hasKey = true }) => hasKey));
  if (keyMs < longestKeyed.ms) {
    throw new WindowError(
      `the window of idempotency keys of ${days(keyMs)} is shorter than the ${days(longestKeyed.ms)} for which ${longestKeyed.of} ` +
        `may be under way while its client asks again; raise SETTLE_KEY_WINDOW`,
    );
  }
  if (retentionMs < keyMs) {
    throw new WindowError(
      `the ledger's retention of ${days(retentionMs)} is shorter than the window of idempotency keys of ${days(keyMs)}, ` +
        `which are answered from it; raise SETTLE_RETENTION`,
    );
  }
}

/**
 * Whether something is older than a window: then a repetition of it may no longer be recognised as one.
 *
 * @param idOrKey an id or an effect key; one without a time in it is never beyond
 */
export function isBeyondWindow(idOrKey: string, nowMs: number, windowMs: number): boolean {
  const madeMs = timeOfId(idOrKey);
  return madeMs !== undefined && nowMs - madeMs > windowMs;
}

/**
 * A span in days for people, rounded up to a tenth.
 *
 * @example days(90_000_000) // '1.1 days'
 */
export function days(ms: number): string {
  const count = Math.ceil((ms / DAY_MS) * 10) / 10;
  return `${count} ${count === 1 ? 'day' : 'days'}`;
}

function longest(steps: readonly PlanStep[], spanOf: (step: PlanStep) => number): number {
  return Math.max(...steps.map(spanOf));
}

function longestOf(horizons: readonly Horizon[]): Horizon {
  return horizons.reduce((longest, each) => (each.ms > longest.ms ? each : longest), { of: 'messages', ms: 0 });
}

function sum(spans: readonly number[]): number {
  return spans.reduce((total, span) => total + span, 0);
}
