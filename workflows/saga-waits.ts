import {
  CancellationScope,
  ChildWorkflowCancellationType,
  condition,
  getExternalWorkflowHandle,
  ParentClosePolicy,
  patched,
  startChild,
  workflowInfo,
} from '@temporalio/workflow';
import { TypedSearchAttributes, WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import type { ChildLook } from '../src/db/child-sagas.js';
import type { Reason } from '../src/saga/errors.js';
import { workflowNameOf } from '../src/saga/ids.js';
import type { PlanStep } from '../src/saga/plan.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import type { HoldVerdict, Look } from '../src/saga/state.js';
import { call, readFailure } from './saga-calls.js';
import { cancelSaga, newsForSaga, scopeOf, SettledElsewhere, type SagaRun } from './saga-run.js';
import { BUSINESS_KEY, showDetails, showState, STATE, TENANT, TYPE } from './saga-visibility.js';

/** Without news the ledger is asked again all the same, in case that who should have told was lost. */
const FIRST_LOOK_MS = 10_000;
const LAST_LOOK_MS = 3_600_000;

/**
 * Asks the ledger, and again whenever it has news, until it has an answer.
 *
 * @param onWait told once, when there is no answer yet
 */
async function untilKnown<T>(run: SagaRun, look: () => Promise<Look<T>>, onWait: () => void): Promise<T> {
  const lookNow = (): Promise<Look<T>> => {
    run.seenNews = run.news;
    return look();
  };
  let found = await lookNow();
  if (found.isOpen) onWait();
  for (let pauseMs = FIRST_LOOK_MS; found.isOpen; pauseMs = Math.min(LAST_LOOK_MS, 2 * pauseMs)) {
    await condition(() => run.news !== run.seenNews, found.leftMs ?? pauseMs);
    found = await lookNow();
  }
  showDetails('');
  return found.answer;
}

/** Waits for an event; the ledger holds it, and decides whether it came in time. */
export function waitForEvent(run: SagaRun, step: PlanStep, onWait: () => void): Promise<unknown> {
  const args = {
    ...{ sagaId: run.start.sagaId, step: step.name, event: step.action },
    ...{ withinMs: step.timeoutMs!, isFinal: step.kind === 'compensatable' },
  };
  const summary = `${step.name}: ${step.action}`;
  return untilKnown(
    run,
    () => call({ activity: 'lookForEvent', args, retry: step.retry, summary }),
    () => {
      onWait();
      showState('running', step.name);
      showDetails(`'${step.name}' waits for the event '${step.action}'`);
    },
  );
}

/** Runs another saga as a step; what it has done can be taken back until this one settles. */
export function runChild(
  run: SagaRun,
  step: PlanStep,
  { input, onWait }: { input: unknown; onWait: () => void },
): Promise<unknown> {
  const { sagaId, tenantId } = run.start;
  const effect = { sagaId, step: step.name, action: 'do' } as const;
  const args = { effect, tenantId, type: step.action, input };
  const summary = `${step.name}: ${step.action}`;
  const look = async (): Promise<Look<unknown>> => {
    const found = await call({ activity: 'lookAtChild', args, retry: step.retry, summary });
    run.children.set(step.name, found.child);
    if (found.start) await begin(step.action, found.start);
    return found;
  };
  return untilKnown(run, look, () => {
    onWait();
    showState('running', step.name);
    showDetails(`'${step.name}' waits for saga ${run.children.get(step.name)!}`);
  });
}

/** Makes the saga that a step ran compensate, and waits until nothing is left of it. */
export async function undoChild(run: SagaRun, step: PlanStep): Promise<void> {
  const effect = { sagaId: run.start.sagaId, step: step.name, action: 'undo' } as const;
  const summary = `undo ${step.name}: ${step.undo!}`;
  const reason: Reason = { code: 'parent-compensates', message: `saga '${run.start.sagaId}' compensates` };
  const look = async (): Promise<Look<null>> => {
    const found = await call({ activity: 'takeChildBack', args: { effect }, retry: step.undoRetry, summary });
    run.children.set(step.name, found.child);
    if (found.isOpen) await tell(found.child, (child) => child.signal(cancelSaga, reason));
    return found;
  };
  await untilKnown(run, look, () => showDetails(`takes saga ${run.children.get(step.name)!} back`));
  run.children.delete(step.name);
}

/**
 * Holds a saga that is a step of another: it has done what can be taken back, and waits for what its parent says. From here on the
 * ledger takes nobody else's word, and neither does this.
 *
 * @returns undefined when it is to go on, else why it compensates
 * @throws SettledElsewhere when a person has ended it
 */
export async function hold(run: SagaRun): Promise<Reason | undefined> {
  if (run.abortReason && !run.hasPassedPivot) return run.abortReason;
  const output = outputOf(run);
  if (output.kind === 'failed') return output.reason;
  const { sagaId, parent } = run.start;
  const args = { sagaId, output: output.value };
  run.isHeld = true;
  const look = (): Promise<Look<HoldVerdict>> =>
    call({ activity: 'holdChild', args, retry: PERSISTENT_RETRY, summary: 'held' });
  const onWait = (): void => {
    showState('held');
    showDetails(`done; step '${parent!.step}' of saga ${parent!.sagaId}, which has not settled yet`);
    void tell(parent!.sagaId, (workflow) => workflow.signal(newsForSaga));
  };
  try {
    const verdict = await CancellationScope.nonCancellable(() => untilKnown(run, look, onWait));
    if (verdict.kind === 'take-back') return verdict.reason;
    run.hasPassedPivot = true;
    return undefined;
  } catch (error) {
    const failure = readFailure(error, 'hold');
    if (failure.kind === 'settled') throw new SettledElsewhere(failure.outcome, failure.reason);
    if (failure.kind !== 'fenced') throw error;
    run.isHeld = false;
    return failure.reason;
  }
}

type Output =
  { readonly kind: 'value'; readonly value: unknown } | { readonly kind: 'failed'; readonly reason: Reason };

/** What it tells its parent. Everything can still be taken back: where the author's code fails, it is. */
function outputOf(run: SagaRun): Output {
  const mark = 'failed:returns';
  const reason: Reason = { code: 'definition-failed', message: 'what it returns could not be built' };
  if (workflowInfo().unsafe.isReplaying && patched(mark)) return { kind: 'failed', reason };
  try {
    return { kind: 'value', value: run.definition.returns?.(scopeOf(run) as never) ?? null };
  } catch (error) {
    patched(mark);
    return { kind: 'failed', reason: { ...reason, message: `what it returns could not be built: ${String(error)}` } };
  }
}

/** Tells the sagas that may wait for the end of this one to look in the ledger: its children, and its parent unless that has ended. */
export async function tellOthers({ start, children, hasPassedPivot }: SagaRun): Promise<void> {
  const others = [...(start.parent && !hasPassedPivot ? [start.parent.sagaId] : []), ...children.values()];
  await Promise.all(others.map((other) => tell(other, (workflow) => workflow.signal(newsForSaga))));
}

type Workflow = ReturnType<typeof getExternalWorkflowHandle>;

/** One that is not there need not be told: whatever takes its place looks in the ledger. */
async function tell(sagaId: string, say: (workflow: Workflow) => Promise<void>): Promise<void> {
  await CancellationScope.nonCancellable(() => say(getExternalWorkflowHandle(sagaId)).catch(() => undefined));
}

/**
 * Starts a child's workflow: as Temporal's child it has its parent's link in the Web UI, and it outlives it. Should it be lost
 * before it begins, or with all of Temporal, the ledger scan starts it, as every saga.
 */
async function begin(type: string, { businessKey, ...start }: NonNullable<ChildLook['start']>): Promise<void> {
  try {
    await startChild(workflowNameOf(type), {
      workflowId: start.sagaId,
      args: [start],
      parentClosePolicy: ParentClosePolicy.ABANDON,
      // it is told of a cancel by its ledger row, never by Temporal: what it has done must be undone in turn
      cancellationType: ChildWorkflowCancellationType.ABANDON,
      workflowIdReusePolicy: 'REJECT_DUPLICATE',
      staticSummary: businessKey,
      typedSearchAttributes: new TypedSearchAttributes([
        { key: TYPE, value: type },
        { key: STATE, value: 'running' },
        { key: BUSINESS_KEY, value: businessKey },
        { key: TENANT, value: start.tenantId },
      ]),
    });
  } catch (error) {
    if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
  }
}
