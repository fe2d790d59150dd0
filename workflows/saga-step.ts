import { CancellationScope, patched, workflowInfo } from '@temporalio/workflow';
import type { Reason } from '../src/saga/errors.js';
import { canBeUndone, owedAfter, type PlanStep } from '../src/saga/plan.js';
import { call, readFailure, type CallFailure } from './saga-calls.js';
import { codeOf, scopeOf, SettledElsewhere, type SagaRun } from './saga-run.js';
import { showDetails, showState } from './saga-visibility.js';
import { runChild, waitForEvent } from './saga-waits.js';

/** Why a step has not been done. `parked` waits for an operator; `compensate` makes the saga take back what was begun. */
export interface StepEnd {
  readonly kind: 'compensate' | 'parked';
  readonly reason: Reason;
  /** Whether it stopped because something else did, so that its reason is not the cause. */
  readonly isCancelled: boolean;
}

export interface StepContext {
  /** The undo list of the step's item: it is entered before the call, and left only after a definite rejection. */
  readonly begun: PlanStep[];
  readonly startDeadline: () => void;
}

/**
 * Runs one step of the plan.
 *
 * | how it ends | before the pivot | the pivot | after it |
 * |---|---|---|---|
 * | done | result kept | result kept; no way back | result kept |
 * | rejected: not applied | compensate the others | compensate the others | park |
 * | unknown: perhaps applied | compensate it too | compensate it too, or park without an undo | park |
 * | an event timed out | compensate the others | – | park; the event still lets it go on |
 * | fenced: the ledger has decided | compensate | compensate | compensate, unless one has been passed |
 *
 * @returns undefined when it is done or not needed
 * @throws SettledElsewhere when the saga has ended in the ledger
 */
export async function runStep(run: SagaRun, step: PlanStep, context: StepContext): Promise<StepEnd | undefined> {
  const prepared = prepare(run, step);
  if (prepared.kind === 'skip') return undefined;
  if (prepared.kind === 'failed') return giveUp(step, prepared.reason, 'parked');
  const isCompensatable = canBeUndone(step);
  if (isCompensatable && !context.begun.includes(step)) context.begun.push(step);
  try {
    run.results[step.name] = await callStep(run, step, {
      payload: prepared.payload,
      startDeadline: context.startDeadline,
    });
    if (step.kind !== 'compensatable') run.hasPassedPivot = true;
    return undefined;
  } catch (error) {
    const failure = readFailure(error, step.name);
    if (failure.kind === 'settled') throw new SettledElsewhere(failure.outcome, failure.reason);
    if (failure.kind === 'rejected')
      context.begun.splice(0, Infinity, ...context.begun.filter((begun) => begun !== step));
    const end = giveUp(step, failure.reason, mayCompensate(run, step, failure) ? 'compensate' : 'parked');
    // an attempt under way when its saga is stopped may fail with an error of its own; it is not tried again, and not the cause
    const isStopped = CancellationScope.current().consideredCancelled;
    return { ...end, isCancelled: failure.kind === 'unknown' && (failure.isCancelled || isStopped) };
  }
}

type Prepared =
  | { readonly kind: 'skip' }
  | { readonly kind: 'run'; readonly payload: unknown }
  | { readonly kind: 'failed'; readonly reason: Reason };

/**
 * Evaluates the author's code; its exceptions must not reach Temporal, where they would fail the workflow task for ever.
 * That it failed is marked in the history: a release that has mended the code replays the failure as it was, and only an
 * operator's retry lets the saga run the mended code. Healthy sagas have no such mark.
 */
function prepare(run: SagaRun, step: PlanStep): Prepared {
  const mark = `failed:${step.name}:${run.heard.size}`;
  if (workflowInfo().unsafe.isReplaying && patched(mark)) {
    return {
      kind: 'failed',
      reason: { code: 'definition-failed', message: 'failed under an earlier release', step: step.name },
    };
  }
  const prepared = evaluate(run, step);
  if (prepared.kind === 'failed') patched(mark);
  return prepared;
}

function evaluate(run: SagaRun, step: PlanStep): Prepared {
  const code = codeOf(run, step);
  if (!code) {
    const message = `this release of '${run.definition.type}' has no code for it; deploy one that keeps it as 'retired', then retry`;
    return { kind: 'failed', reason: { code: 'unknown-step', message, step: step.name } };
  }
  try {
    const scope = scopeOf(run) as never;
    if (code.when && !code.when(scope)) return { kind: 'skip' };
    return { kind: 'run', payload: code.payload?.(scope) };
  } catch (error) {
    return { kind: 'failed', reason: { code: 'definition-failed', message: String(error), step: step.name } };
  }
}

async function callStep(
  run: SagaRun,
  step: PlanStep,
  { payload, startDeadline }: { payload: unknown; startDeadline: () => void },
): Promise<unknown> {
  const { sagaId, tenantId, input, traceparent } = run.start;
  const target = {
    effect: { sagaId, step: step.name, action: 'do' } as const,
    tenantId,
    saga: run.definition.type,
  };
  const common = {
    retry: step.retry,
    summary: `${step.name}: ${step.action}`,
    isSlow: run.slowSteps.delete(step.name),
    onFallback: () => {
      startDeadline();
      showState('running', step.name);
      showDetails(`'${step.name}' has not succeeded at once; trying for ${step.retry.budgetMs / 1_000} s`);
    },
  };
  const start = (): Promise<unknown> => {
    switch (step.type) {
      case 'local':
        return call({
          activity: 'runLocal',
          args: { ...target, work: step.action, input, results: run.results, owes: owedAfter(run.start.plan, step) },
          ...common,
        });
      case 'message':
        return call({ activity: 'dispatch', args: { ...target, traceparent, type: step.action, payload }, ...common });
      case 'wait':
        return waitForEvent(run, step, startDeadline);
      case 'child':
        return runChild(run, step, { input: payload, onWait: startDeadline });
    }
  };
  // the pivot decides by itself, and what follows it only goes forward: neither can be cancelled
  return step.kind === 'compensatable' ? start() : CancellationScope.nonCancellable(start);
}

function mayCompensate({ hasPassedPivot }: SagaRun, step: PlanStep, failure: CallFailure): boolean {
  // the ledger has decided, and so may have a person, also for a step that is never given up otherwise
  if (failure.kind === 'fenced') return !hasPassedPivot;
  // the ledger has sent it forward: asked again it would say the same, at once and for ever
  if (hasPassedPivot || step.kind === 'retriable' || failure.kind === 'parked') return false;
  // a pivot without an undo that may have happened can be neither taken back nor given up; a wait does nothing that could have
  return failure.kind !== 'unknown' || step.undo !== undefined || step.kind === 'compensatable';
}

function giveUp(step: PlanStep, reason: Reason, kind: StepEnd['kind']): StepEnd {
  return { kind, reason: { ...reason, step: reason.step ?? step.name }, isCancelled: false };
}
