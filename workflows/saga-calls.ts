import {
  ActivityCancellationType,
  ActivityFailure,
  ApplicationFailure,
  CancellationScope,
  CancelledFailure,
  isCancellation,
  proxyActivities,
  proxyLocalActivities,
  rootCause,
} from '@temporalio/workflow';
import type { HalfMessageActivities } from '../activities/half-message-activities.js';
import type { OutboxActivities } from '../activities/outbox-activities.js';
import type { SagaActivities } from '../activities/saga-activities.js';
import type { Reason } from '../src/saga/errors.js';
import type { RetryPolicy } from '../src/saga/retry.js';
import type { SagaOutcome } from '../src/saga/state.js';

/** Everything that can be called: what sagas do, and what messages do that belong to none. */
type Activities = SagaActivities & HalfMessageActivities & OutboxActivities;

/** How a call to an activity ended, as far as the saga's next move is concerned. */
export type CallFailure =
  /** Definitely not applied. */
  | { readonly kind: 'rejected'; readonly reason: Reason }
  /** The ledger no longer lets the saga go forward; perhaps applied. */
  | { readonly kind: 'fenced'; readonly reason: Reason }
  /** The saga has ended in the ledger: nothing is left to do. */
  | { readonly kind: 'settled'; readonly outcome: SagaOutcome; readonly reason: Reason }
  /** No retry can help; perhaps applied. */
  | { readonly kind: 'parked'; readonly reason: Reason }
  /** Budget exhausted or cancelled; perhaps applied. */
  | { readonly kind: 'unknown'; readonly reason: Reason; readonly isCancelled: boolean };

/** A call as the runner makes it. */
export interface Call<Name extends keyof Activities> {
  readonly activity: Name;
  readonly args: Parameters<Activities[Name]>[0];
  readonly retry: RetryPolicy;
  /** What a person reads beside the activity in the Web UI. */
  readonly summary: string;
  /** Whether the fast path is left out. @default false */
  readonly isSlow?: boolean;
  /** Told when the fast path has not succeeded, before the durable one begins. */
  readonly onFallback?: () => void;
}

/** One attempt on the fast path; longer ones belong where a person can see them. */
export const FAST_TIMEOUT_MS = 1_500;
/** What an activity needs beyond its participant's time: its database work. */
const LEDGER_MARGIN_MS = 6_000;
/** Failures that no attempt can change. */
const FINAL: readonly string[] = ['RejectedError', 'FencedError', 'ParkedError'];

/**
 * Calls an activity: first as a local activity (one workflow task, a few quick attempts), then as a regular one under the
 * step's durable retry policy, visible as pending in the Web UI. Safe because every effect is idempotent by its effect key.
 *
 * @throws ActivityFailure that {@link readFailure} understands
 */
export async function call<Name extends keyof Activities>(
  request: Call<Name>,
): Promise<Awaited<ReturnType<Activities[Name]>>> {
  if (request.isSlow) {
    request.onFallback?.();
    return durablePath(request);
  }
  try {
    // never cancelled: it is short, and waited for in any case. Asked to cancel one that has just ended, the SDK's core fails the
    // whole workflow task ("invalid transition in state machine"), which then waits for its time-out before its next attempt
    return await CancellationScope.nonCancellable(() => fastPath(request));
  } catch (error) {
    if (isCancellation(error) || isFinal(error)) throw error;
    if (CancellationScope.current().consideredCancelled)
      throw new CancelledFailure('was cancelled meanwhile', [], error as Error);
  }
  request.onFallback?.();
  return durablePath(request);
}

/** Says what a failed call means for its saga. */
export function readFailure(error: unknown, step: string): CallFailure {
  const cause = unwrap(error);
  const reason = reasonOf(cause, step);
  if (cause instanceof ApplicationFailure) {
    if (cause.type === 'RejectedError') return { kind: 'rejected', reason };
    const outcome = cause.details?.[1] as SagaOutcome | undefined;
    if (cause.type === 'FencedError')
      return outcome ? { kind: 'settled', outcome, reason } : { kind: 'fenced', reason };
    if (cause.type === 'ParkedError') return { kind: 'parked', reason };
  }
  return { kind: 'unknown', reason, isCancelled: isCancellation(error) };
}

type Result<Name extends keyof Activities> = Promise<Awaited<ReturnType<Activities[Name]>>>;

function fastPath<Name extends keyof Activities>({ activity, args, retry, summary }: Call<Name>): Result<Name> {
  const timeoutMs = Math.min(FAST_TIMEOUT_MS, retry.timeoutMs);
  const local = proxyLocalActivities<Activities>({
    startToCloseTimeout: 3 * timeoutMs + 1_000,
    // the quick attempts are the activity's own: see activities/quick-attempts.ts
    retry: { maximumAttempts: 1 },
    summary,
  });
  return invoke(local[activity], { ...args, timeoutMs, maxWaitMs: retry.capMs, patienceMs: retry.timeoutMs });
}

function durablePath<Name extends keyof Activities>({ activity, args, retry, summary }: Call<Name>): Result<Name> {
  const durable = proxyActivities<Activities>({
    startToCloseTimeout: retry.timeoutMs + LEDGER_MARGIN_MS,
    scheduleToCloseTimeout: retry.budgetMs,
    // waiting for the attempt under way: no `do` may still be sent once the decision to compensate is recorded
    cancellationType: ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
    retry: { initialInterval: retry.initialMs, backoffCoefficient: retry.factor, maximumInterval: retry.capMs },
    summary,
  });
  return invoke(durable[activity], { ...args, timeoutMs: retry.timeoutMs, maxWaitMs: retry.capMs });
}

/** The proxies type each activity apart; the runner calls them alike. */
function invoke<Name extends keyof Activities>(activity: unknown, args: object): Result<Name> {
  return (activity as (args: object) => Result<Name>)(args);
}

/** A regular activity's failure comes wrapped, a local one's may not. */
function unwrap(error: unknown): unknown {
  return error instanceof ActivityFailure ? error.cause : error;
}

function isFinal(error: unknown): boolean {
  const cause = unwrap(error);
  return cause instanceof ApplicationFailure && FINAL.includes(cause.type ?? '');
}

function reasonOf(cause: unknown, step: string): Reason {
  if (isCancellation(cause)) return { code: 'cancelled', message: 'was cancelled before its outcome was known', step };
  const failure = cause instanceof ApplicationFailure ? cause : undefined;
  const stored = failure?.details?.[0] as Reason | undefined;
  if (stored?.code) return { ...stored, step: stored.step ?? step };
  return { code: 'no-outcome', message: rootCause(cause) ?? 'no outcome within the retry budget', step };
}
