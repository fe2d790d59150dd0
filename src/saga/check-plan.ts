import { SagaDefinitionError } from './errors.js';
import { allSteps, type Plan, type PlanStep } from './plan.js';

/**
 * Checks what types cannot: that the saga can end well whatever happens to it.
 * Before the pivot every step can be taken back or cannot be refused for ever; after it no step needs to be.
 *
 * @throws SagaDefinitionError that names the first step that breaks a rule
 */
export function checkPlan(plan: Plan): void {
  const steps = allSteps(plan);
  const fail = (step: PlanStep | undefined, problem: string): never => {
    throw new SagaDefinitionError(plan.saga, step?.name, problem);
  };
  if (steps.length === 0) fail(undefined, 'has no steps; add at least one');
  if (steps.length > 100) fail(undefined, `has ${steps.length} steps; split it, a saga has at most 100`);
  const pivots = steps.filter((step) => step.kind === 'pivot');
  if (pivots.length > 1) fail(pivots[1], `is a second pivot after '${pivots[0]!.name}'; a saga has at most one`);
  checkOrder(plan, fail);
  checkBudgets(plan, fail);
}

type Fail = (step: PlanStep | undefined, problem: string) => never;

function checkOrder(plan: Plan, fail: Fail): void {
  let forwardOnly: PlanStep | undefined;
  for (const item of plan.items) {
    const members = 'parallel' in item ? item.parallel : [item];
    for (const step of members) {
      if (step.kind === 'compensatable' && step.undo === undefined) {
        fail(step, "is compensatable but has no undo; give it one, or make it the pivot or 'retriable'");
      }
      if (forwardOnly && step.kind !== 'retriable') {
        fail(
          step,
          `may be undone or refused after '${forwardOnly.name}', which cannot be taken back; make it 'retriable' or move it before`,
        );
      }
      if (step.kind === 'pivot' && members.length > 1)
        fail(step, 'is a pivot inside a parallel group; give the pivot its own place');
    }
    if (members.some(({ kind }) => kind !== 'retriable') && members.some(({ kind }) => kind === 'retriable')) {
      fail(
        members.find(({ kind }) => kind === 'retriable'),
        'cannot be taken back, but runs in parallel with steps that may be refused',
      );
    }
    forwardOnly ??= members.find(({ kind }) => kind !== 'compensatable');
  }
}

function checkBudgets(plan: Plan, fail: Fail): void {
  if (plan.deadlineMs === undefined) return;
  let leastMs = 0;
  for (const item of plan.items) {
    const members = ('parallel' in item ? item.parallel : [item]).filter(({ kind }) => kind !== 'retriable');
    leastMs += Math.max(0, ...members.map(({ retry }) => retry.timeoutMs));
    if (leastMs > plan.deadlineMs) {
      fail(
        members[0],
        `can start too late: single attempts up to it take ${leastMs} ms, the deadline is ${plan.deadlineMs} ms`,
      );
    }
  }
}
