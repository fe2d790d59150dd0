import { SagaDefinitionError } from './errors.js';
import { allSteps, type Plan, type PlanStep, type StepType } from './plan.js';

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
  checkWaits(plan, fail);
  checkBudgets(plan, fail);
}

type Fail = (step: PlanStep | undefined, problem: string) => never;

function checkOrder(plan: Plan, fail: Fail): void {
  let forwardOnly: PlanStep | undefined;
  for (const item of plan.items) {
    const members = 'parallel' in item ? item.parallel : [item];
    for (const step of members) {
      if (step.kind === 'compensatable' && step.undo === undefined && step.type !== 'wait') {
        fail(step, "is compensatable but has no undo; give it one, or make it the pivot or 'retriable'");
      }
      if (forwardOnly && step.kind !== 'retriable') {
        fail(
          step,
          `may be undone or refused after '${forwardOnly.name}', which cannot be taken back; ${REMEDY[step.type]}`,
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

const REMEDY: Readonly<Record<StepType, string>> = {
  local: "make it 'retriable' or move it before",
  message: "make it 'retriable' or move it before",
  wait: 'move it before',
  child: 'move it before: the child itself may be refused',
};

/** An event is recorded once a saga, so that no two steps may take it; a wait that the deadline always ends never times out. */
function checkWaits(plan: Plan, fail: Fail): void {
  const waits = allSteps(plan).filter(({ type }) => type === 'wait');
  for (const [index, step] of waits.entries()) {
    const earlier = waits.slice(0, index).find(({ action }) => action === step.action);
    if (earlier) fail(step, `waits for '${step.action}' as '${earlier.name}' does; give it an event of its own`);
    if (step.kind === 'compensatable' && plan.deadlineMs !== undefined && step.timeoutMs! >= plan.deadlineMs) {
      fail(
        step,
        `may wait for ${step.timeoutMs} ms, but the deadline is ${plan.deadlineMs} ms; make the deadline longer`,
      );
    }
  }
}

function checkBudgets(plan: Plan, fail: Fail): void {
  if (plan.deadlineMs === undefined) return;
  let leastMs = 0;
  for (const item of plan.items) {
    const members = ('parallel' in item ? item.parallel : [item]).filter(
      ({ kind, type }) => kind !== 'retriable' && type !== 'wait',
    );
    leastMs += Math.max(0, ...members.map(({ retry }) => retry.timeoutMs));
    if (leastMs > plan.deadlineMs) {
      fail(
        members[0],
        `can start too late: single attempts up to it take ${leastMs} ms, the deadline is ${plan.deadlineMs} ms`,
      );
    }
  }
}
