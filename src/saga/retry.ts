import { milliseconds, type Duration } from './duration.js';

/** How often and for how long a step is tried before its saga gives it up. */
export interface RetryOptions {
  /** Wait before the second durable attempt. @default '1s' */
  readonly initial?: Duration;
  /** Each wait is this many times the one before. @default 2 */
  readonly factor?: number;
  /** No wait is longer. @default '10s' (undo and retriable steps: '20s'): within 30 s of a fault's end all is moving again */
  readonly cap?: Duration;
  /** All attempts together; then the saga compensates, or parks when it cannot. @default '2m' (undo and retriable steps: '24h') */
  readonly budget?: Duration;
  /** One attempt; what takes longer counts as unknown. @default '5s' */
  readonly timeout?: Duration;
}

/** A retry policy as pinned in a plan: plain numbers, in ms. */
export interface RetryPolicy {
  readonly initialMs: number;
  readonly factor: number;
  readonly capMs: number;
  readonly budgetMs: number;
  readonly timeoutMs: number;
}

/** For steps that may still be compensated: give up early enough that the client's deadline is kept. */
export const FORWARD_RETRY: RetryPolicy = {
  initialMs: 1_000,
  factor: 2,
  capMs: 10_000,
  budgetMs: 120_000,
  timeoutMs: 5_000,
};

/** For `undo` and for steps after the pivot: nothing else can be done, so keep trying for a day before a person is asked. */
export const PERSISTENT_RETRY: RetryPolicy = {
  initialMs: 1_000,
  factor: 2,
  capMs: 20_000,
  budgetMs: 86_400_000,
  timeoutMs: 5_000,
};

/**
 * Resolves retry options against a default.
 *
 * @returns the policy in ms
 * @throws RangeError that names the field that cannot be kept
 */
export function retryPolicy(options: RetryOptions | undefined, fallback: RetryPolicy): RetryPolicy {
  const policy: RetryPolicy = {
    initialMs: milliseconds(options?.initial ?? fallback.initialMs),
    factor: options?.factor ?? fallback.factor,
    capMs: milliseconds(options?.cap ?? fallback.capMs),
    budgetMs: milliseconds(options?.budget ?? fallback.budgetMs),
    timeoutMs: milliseconds(options?.timeout ?? fallback.timeoutMs),
  };
  const problem = findProblem(policy);
  if (problem) throw new RangeError(problem);
  return policy;
}

/**
 * The wait before attempt `attempt + 1`, in ms: exponential, capped, the same that Temporal computes for an activity.
 *
 * @param attempt 1 for the first attempt
 */
export function backoffMs(policy: RetryPolicy, attempt: number): number {
  return Math.min(policy.capMs, policy.initialMs * policy.factor ** Math.max(0, attempt - 1));
}

function findProblem(policy: RetryPolicy): string | undefined {
  for (const field of ['initialMs', 'capMs', 'budgetMs', 'timeoutMs'] as const) {
    if (policy[field] <= 0) return `retry.${field.slice(0, -2)} must be longer than 0 ms`;
  }
  if (!Number.isFinite(policy.factor) || policy.factor < 1) return 'retry.factor must be a number ≥ 1';
  if (policy.capMs < policy.initialMs) return 'retry.cap must not be shorter than retry.initial';
  if (policy.budgetMs < policy.timeoutMs) return 'retry.budget must not be shorter than retry.timeout';
  return undefined;
}
