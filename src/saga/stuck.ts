import type { StuckCause } from './notice.js';
import { allSteps, stepsOf, type Plan, type PlanGroup, type PlanStep } from './plan.js';
import type { SagaState } from './state.js';

/** How long an accepted saga may wait for its workflow before it counts as stuck, in ms. */
export const START_GRACE_MS = 60_000;

/** What is known of an open saga. */
export interface OpenSaga {
  readonly state: SagaState;
  readonly plan: Plan;
  /** When it was accepted; of one that was held, when it last went on. */
  readonly sinceMs: number;
}

/** Why an open saga is stuck; undefined while it is not. What is parked has been reported as such. */
export function findStuckCause({ state, plan, sinceMs }: OpenSaga, nowMs: number): StuckCause | undefined {
  const ageMs = nowMs - sinceMs;
  if (state === 'accepted') return ageMs > START_GRACE_MS ? 'not-started' : undefined;
  if (state === 'running') return ageMs > longestWayForwardMs(plan) ? 'overdue' : undefined;
  if (state === 'compensating')
    return ageMs > longestWayForwardMs(plan) + longestWayBackMs(plan) ? 'overdue' : undefined;
  return undefined;
}

/** How long a saga can go forward, in ms: until its deadline or for as long as its retries and waits last, and what is past the pivot after that. */
export function longestWayForwardMs({ saga, items, deadlineMs = Infinity }: Plan): number {
  const firstFinal = items.findIndex((item) => stepsOf(item).some(({ kind }) => kind !== 'compensatable'));
  const before = firstFinal < 0 ? items : items.slice(0, firstFinal);
  const beyond = items.slice(before.length);
  const budget = ({ timeoutMs, retry }: PlanStep): number => timeoutMs ?? retry.budgetMs;
  // an attempt may begin at the very end of its budget
  const lastMs = Math.max(...allSteps({ saga, items }).map(({ retry }) => retry.timeoutMs));
  return Math.min(deadlineMs, sum(before, budget)) + sum(beyond, budget) + lastMs;
}

function longestWayBackMs({ saga, items }: Plan): number {
  const lastMs = Math.max(...allSteps({ saga, items }).map(({ undoRetry }) => undoRetry.timeoutMs));
  return sum(items, ({ undo, undoRetry }) => (undo === undefined ? 0 : undoRetry.budgetMs)) + lastMs;
}

/** Steps of a group run at the same time. */
function sum(items: readonly (PlanStep | PlanGroup)[], spanOf: (step: PlanStep) => number): number {
  return items.reduce((total, item) => total + Math.max(...stepsOf(item).map(spanOf)), 0);
}
