import type { Reason } from './errors.js';

/**
 * The states of a half message.
 * ```
 * prepared ─▶ confirmed ─▶ delivered
 *   │  │          └──▶ parked (the participant refused it, or never answered)
 *   │  │                  └─▶ confirmed (resent) | delivered (attested) | discarded: an operator's decision
 *   │  └─▶ rolled-back
 *   └─▶ parked (no verdict within the horizon)
 *          └─▶ confirmed | rolled-back (a late verdict, or an operator's) | prepared (asked after again)
 * ```
 */
export const HALF_MESSAGE_STATES = [
  'prepared',
  'confirmed',
  'delivered',
  'rolled-back',
  'parked',
  'discarded',
] as const;
export type HalfMessageState = (typeof HALF_MESSAGE_STATES)[number];

/** Those from which something is still to happen. */
export const OPEN_HALF_MESSAGE_STATES = [
  'prepared',
  'confirmed',
  'parked',
] as const satisfies readonly HalfMessageState[];

/** Who gave a verdict. */
export const DECIDERS = ['producer', 'check-back', 'operator'] as const;
export type Decider = (typeof DECIDERS)[number];

/** What became of the producer's local transaction. The first verdict is final. */
export const VERDICTS = ['committed', 'rolled-back'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** When a half message is asked after; pinned when it is prepared. All in ms. */
export interface CheckPlan {
  /** From preparation to the first check: the time a producer's transaction usually takes, and then some. */
  readonly firstMs: number;
  /** Between the first check and the second. */
  readonly initialMs: number;
  /** Each wait is this many times the one before. */
  readonly factor: number;
  /** No wait is longer. */
  readonly capMs: number;
  /** How long a message is asked after: time that ended in an answer, or time without any answer at all. */
  readonly horizonMs: number;
  /** One check. */
  readonly timeoutMs: number;
  /** How many messages its producer can be asked after in one request. @default 1 */
  readonly batch?: number;
}

/** The most messages that a producer is asked after in one request. */
export const MAX_BATCH = 100;

/** First after 6 s, then 30 s doubling to 10 min, for a day. */
export const CHECK_PLAN: CheckPlan = {
  firstMs: 6_000,
  initialMs: 30_000,
  factor: 2,
  capMs: 600_000,
  horizonMs: 86_400_000,
  timeoutMs: 5_000,
};

/** How the checks of a message have gone so far. */
export interface CheckProgress {
  /** Checks answered `unknown`: the only ones that count. */
  readonly answered: number;
  /** Waited before them, in ms. */
  readonly answeredMs: number;
  /** Checks without an answer since the last answer. */
  readonly silent: number;
  /** Waited before them, in ms. */
  readonly silentMs: number;
}

export const NO_CHECKS: CheckProgress = { answered: 0, answeredMs: 0, silent: 0, silentMs: 0 };

/**
 * The wait before the next check, in ms. An answer begins a new count of silences, so that a producer that comes back
 * is not asked as rarely as one that is away.
 */
export function waitBeforeCheck(plan: CheckPlan, { answered, silent }: CheckProgress): number {
  const made = Math.max(answered, silent);
  if (made === 0) return plan.firstMs;
  return Math.min(plan.capMs, plan.initialMs * plan.factor ** (made - 1));
}

/** The progress after a check that brought no verdict. */
export function afterCheck(progress: CheckProgress, isAnswered: boolean, waitedMs: number): CheckProgress {
  const { answered, answeredMs, silent, silentMs } = progress;
  if (isAnswered) return { answered: answered + 1, answeredMs: answeredMs + waitedMs, silent: 0, silentMs: 0 };
  return { answered, answeredMs, silent: silent + 1, silentMs: silentMs + waitedMs };
}

/** Why a message is asked after no longer; undefined while it is. */
export function findHorizonEnd(plan: CheckPlan, progress: CheckProgress): Reason | undefined {
  const { answered, answeredMs, silent, silentMs } = progress;
  if (answeredMs >= plan.horizonMs) {
    return { code: 'no-verdict', message: `its producer answered ${answered} checks, each time without a verdict` };
  }
  if (silentMs >= plan.horizonMs) {
    return { code: 'producer-silent', message: `its producer has not answered the last ${silent} checks` };
  }
  return undefined;
}

/** The input of a half message's workflow. */
export interface HalfMessageStart {
  readonly messageId: string;
  readonly tenantId: string;
  /** The message type. */
  readonly type: string;
  readonly plan: CheckPlan;
  /** When it was prepared, ms since the epoch; the first check counts from here. */
  readonly preparedAtMs: number;
  /** As the ledger had it when the workflow was started. */
  readonly verdict: Verdict | null;
  /** Set when a workflow with a long history goes on as a new one. */
  readonly progress?: CheckProgress;
}

/** The result of a half message's workflow, as the Temporal Web UI shows it. */
export interface HalfMessageEnd {
  readonly messageId: string;
  readonly state: 'delivered' | 'rolled-back' | 'discarded';
}
