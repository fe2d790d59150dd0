import { CancellationScope, isCancellation, setHandler, sleep } from '@temporalio/workflow';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { Reason } from '../src/saga/errors.js';
import type { Operation } from '../src/saga/operator.js';
import { stepsOf, turningPoint, type PlanGroup, type PlanStep } from '../src/saga/plan.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import type { SagaEnd, SagaOutcome, SagaStart } from '../src/saga/state.js';
import { goAhead } from './saga-ahead.js';
import { call, readFailure } from './saga-calls.js';
import { compensate } from './saga-compensation.js';
import {
  cancelSaga,
  newRun,
  newsForSaga,
  operate,
  operateSaga,
  park,
  SettledElsewhere,
  type Abort,
  type SagaRun,
} from './saga-run.js';
import { runStep, type StepContext, type StepEnd } from './saga-step.js';
import { showState } from './saga-visibility.js';
import { hold, tellOthers } from './saga-waits.js';

/** A workflow function: the saga's input, pinned at acceptance, to how it ended. */
export type SagaWorkflow = (start: SagaStart) => Promise<SagaEnd>;

/**
 * The workflow function of a definition. Export it under the saga's own name in camelCase, `placeOrder` for `place-order`:
 * that is what the Temporal Web UI shows.
 *
 * @example export const placeOrder = sagaWorkflow(placeOrderSaga);
 */
export function sagaWorkflow<Input>(definition: SagaDefinition<Input>): SagaWorkflow {
  return (start) => runSaga(definition as unknown as SagaDefinition, start);
}

async function runSaga(definition: SagaDefinition, start: SagaStart): Promise<SagaEnd> {
  const run = newRun(definition, start);
  try {
    return await runToItsEnd(run);
  } catch (error) {
    if (!(error instanceof SettledElsewhere)) throw error;
    return end(run, error.outcome, error.reason);
  }
}

async function runToItsEnd(run: SagaRun): Promise<SagaEnd> {
  for (;;) {
    const reason = (await goForward(run)) ?? (await complete(run));
    if (!reason) return end(run, 'completed');
    const recorded = await compensate(run, reason);
    if (!recorded.mustGoForward) {
      await settle(run, 'compensated', recorded.reason);
      return end(run, 'compensated', recorded.reason);
    }
    run.hasPassedPivot = true;
  }
}

/** Settles as completed; returns why not, when the ledger has decided to compensate before this workflow was started. */
async function complete(run: SagaRun): Promise<Reason | undefined> {
  if (run.isCompleted) return undefined;
  try {
    await settle(run, 'completed');
    return undefined;
  } catch (error) {
    const failure = readFailure(error, 'settle');
    if (failure.kind !== 'fenced') throw error;
    return failure.reason;
  }
}

/** Runs the plan's items in order. Returns undefined when all are done, else why the saga must compensate. */
async function goForward(run: SagaRun): Promise<Reason | undefined> {
  const forward = new CancellationScope({ cancellable: !run.hasPassedPivot });
  const abort: Abort = (reason) => {
    if (run.hasPassedPivot || run.isHeld || run.abortReason) return;
    run.abortReason = reason;
    forward.cancel();
  };
  setHandler(cancelSaga, (reason) => {
    // to a held saga it says that its parent takes it back, which stands in the ledger
    if (run.start.parent) run.news += 1;
    abort(reason);
  });
  setHandler(newsForSaga, () => void (run.news += 1));
  setHandler(operateSaga, (operation) => operate(run, operation));
  const startDeadline = deadlineOf(run, abort);
  // a saga that waited too long to be started, e.g. while Temporal was away, must not begin
  if (deadlineLeftMs(run) <= 0) abort(expired(run));
  if (run.abortReason && !run.hasPassedPivot) return run.abortReason;
  try {
    return await forward.run(async () => {
      const { items } = run.start.plan;
      const holdAt = run.start.parent ? turningPoint(run.start.plan) : undefined;
      const ahead = run.start.mayRunAhead ? await goAhead(run, deadlineLeftMs(run)) : 0;
      const isStopped = run.abortReason && !run.hasPassedPivot && !run.isCompleted;
      // sagas of earlier releases have no such moment in their histories
      if (run.start.mayRunAhead && isStopped) return run.abortReason;
      for (const [index, item] of items.entries()) {
        if (index < ahead) continue;
        const reason = (index === holdAt ? await hold(run) : undefined) ?? (await runItem(run, item, startDeadline));
        if (reason) return reason;
      }
      return holdAt === items.length ? hold(run) : undefined;
    });
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return run.abortReason ?? { code: 'cancelled', message: 'its workflow was cancelled in Temporal' };
  }
}

/** Runs a step, or the members of a group at the same time; the first that gives up stops the others. */
async function runItem(
  run: SagaRun,
  item: PlanStep | PlanGroup,
  startDeadline: () => void,
): Promise<Reason | undefined> {
  const begun: PlanStep[] = [];
  run.undoStack.push(begun);
  const group = new CancellationScope({ cancellable: true });
  const ends = await group.run(() =>
    Promise.all(
      stepsOf(item).map(async (step) => {
        const end = await runStepOrPark(run, step, { begun, startDeadline });
        if (end) group.cancel();
        return end;
      }),
    ),
  );
  return causeOf(run, ends);
}

/** A step that is parked is tried again whenever an operator says so, or given up; before the pivot a cancel ends the wait too. */
async function runStepOrPark(run: SagaRun, step: PlanStep, context: StepContext): Promise<StepEnd | undefined> {
  for (;;) {
    const end = await runStep(run, step, context);
    if (end?.kind !== 'parked') return end;
    context.startDeadline();
    const wait = (): Promise<Operation | undefined> =>
      park(run, { step: step.name, action: 'do', reason: end.reason, heedsNews: step.type === 'wait' });
    try {
      const verdict = await (step.kind === 'compensatable' ? wait() : CancellationScope.nonCancellable(wait));
      if (verdict) return { kind: 'compensate', reason: verdict.reason, isCancelled: false };
    } catch (error) {
      if (!isCancellation(error)) throw error;
      return { ...end, kind: 'compensate', isCancelled: true };
    }
  }
}

/** Why the saga must compensate: what gave up by itself comes before what was only stopped, and what stopped it. */
function causeOf(run: SagaRun, ends: readonly (StepEnd | undefined)[]): Reason | undefined {
  const given = ends.filter((end) => end !== undefined);
  const cause = given.find((end) => !end.isCancelled)?.reason;
  if (cause) return cause;
  if (given[0]) return run.abortReason ?? given[0].reason;
  return run.hasPassedPivot ? undefined : run.abortReason;
}

/**
 * The deadline's timer starts with the first trouble, not with the saga: the fast path is over within seconds,
 * so a healthy saga needs none, and a timer that never fires costs three events and its rows in Temporal's store.
 */
function deadlineOf(run: SagaRun, abort: Abort): () => void {
  let isStarted = run.start.plan.deadlineMs === undefined;
  return () => {
    if (isStarted) return;
    isStarted = true;
    void CancellationScope.nonCancellable(() => sleep(Math.max(1, deadlineLeftMs(run)))).then(() => {
      abort(expired(run));
    });
  };
}

function deadlineLeftMs({ start }: SagaRun): number {
  return start.acceptedAtMs + (start.plan.deadlineMs ?? Infinity) - Date.now();
}

function expired({ start }: SagaRun): Reason {
  return { code: 'deadline', message: `did not complete within ${start.plan.deadlineMs ?? 0} ms` };
}

async function settle({ start }: SagaRun, outcome: SagaOutcome, reason?: Reason): Promise<void> {
  const { sagaId } = start;
  try {
    await CancellationScope.nonCancellable(() =>
      call({ activity: 'settle', args: { sagaId, outcome, reason }, retry: PERSISTENT_RETRY, summary: outcome }),
    );
  } catch (error) {
    const failure = readFailure(error, 'settle');
    if (failure.kind === 'settled') throw new SettledElsewhere(failure.outcome, failure.reason);
    throw error;
  }
}

async function end(run: SagaRun, outcome: SagaOutcome, reason?: Reason): Promise<SagaEnd> {
  // of a saga that has never been in trouble nobody asks for more than that its workflow has completed
  if (!run.isCompleted) showState(outcome);
  await tellOthers(run);
  return { sagaId: run.start.sagaId, outcome, reason };
}
