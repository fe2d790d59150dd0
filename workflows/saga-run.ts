import { CancellationScope, condition, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { Scope, SagaDefinition, StepCode } from '../src/saga/define-saga.js';
import type { Reason } from '../src/saga/errors.js';
import type { PlanStep } from '../src/saga/plan.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import type { SagaStart, SagaState, StateRecord } from '../src/saga/state.js';
import { call } from './saga-calls.js';
import { showDetails, showState } from './saga-visibility.js';

/** Asks a saga to compensate; ignored once it has passed its pivot. */
export const cancelSaga = defineSignal<[Reason]>('cancel');

/** Lets a parked saga try again; answers whether it was parked. */
export const retrySaga = defineUpdate<boolean>('retry');

/** One run of a saga: what it knows while it runs. */
export interface SagaRun {
  readonly definition: SagaDefinition;
  readonly start: SagaStart;
  /** The results of the steps done so far, by step name. */
  readonly results: Record<string, unknown>;
  /** What this run has begun and may have applied, one list an item; the ledger may know of more. */
  readonly undoStack: PlanStep[][];
  /** Why it must compensate: set by a cancel or the deadline. */
  abortReason?: Reason;
  /** True from the moment after which nothing may be taken back. */
  hasPassedPivot: boolean;
  isParked: boolean;
  /** How many times an operator has asked for a retry. */
  retries: number;
}

/** Whether a saga must stop going forward. */
export interface Abort {
  (reason: Reason): void;
}

/** What the author's code of a step may read. */
export function scopeOf({ start, results }: SagaRun): Scope<unknown, Record<string, unknown>> {
  return { ...results, input: start.input };
}

/** The code behind a planned step; undefined when this release has dropped it. */
export function codeOf({ definition }: SagaRun, step: PlanStep): StepCode | undefined {
  return definition.code.get(step.name);
}

/** Records a change of state in the ledger, then in the Web UI; returns what the ledger knows. */
export async function enterState(
  run: SagaRun,
  state: Exclude<SagaState, 'accepted' | 'completed' | 'compensated'>,
  reason?: Reason,
): Promise<StateRecord> {
  const recorded = await call({
    activity: 'recordState',
    args: { sagaId: run.start.sagaId, state, reason },
    retry: PERSISTENT_RETRY,
    summary: state,
  });
  showState(state, reason?.step);
  return recorded;
}

/**
 * Waits, parked, until an operator asks for a retry; `resumeAs` is the state it goes on in.
 *
 * @throws CancelledFailure when the wait is cancelled; then it is no longer parked, but its state is the caller's to change
 */
export async function park(run: SagaRun, reason: Reason, resumeAs: 'running' | 'compensating'): Promise<void> {
  const seen = run.retries;
  await CancellationScope.nonCancellable(() => enterState(run, 'parked', reason));
  showDetails(`parked at '${reason.step ?? '?'}': ${reason.message}`);
  run.isParked = true;
  try {
    await condition(() => run.retries > seen);
  } finally {
    run.isParked = false;
    showDetails('');
  }
  await CancellationScope.nonCancellable(() => enterState(run, resumeAs));
}
