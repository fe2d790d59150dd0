import { CancellationScope, condition, defineSignal, defineUpdate } from '@temporalio/workflow';
import type { StateChange } from '../src/db/saga-store.js';
import type { StepAction } from '../src/saga/ids.js';
import type { Scope, SagaDefinition, StepCode } from '../src/saga/define-saga.js';
import type { Reason } from '../src/saga/errors.js';
import type { Operation, OperationAnswer } from '../src/saga/operator.js';
import type { PlanStep } from '../src/saga/plan.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import type { SagaOutcome, SagaStart, SagaState, StateRecord } from '../src/saga/state.js';
import { call } from './saga-calls.js';
import { showDetails, showState } from './saga-visibility.js';

/** Asks a saga to compensate; ignored once it has passed its pivot. */
export const cancelSaga = defineSignal<[Reason]>('cancel');

/** Tells a saga that the ledger has news for it: an event, or what became of its child or parent. */
export const newsForSaga = defineSignal('news');

/** Tells a saga what an operator has decided; the ledger holds it already. */
export const operateSaga = defineUpdate<OperationAnswer, [Operation]>('operate');

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
  /** The steps that are not worth a quick attempt, as they have just had one. */
  readonly slowSteps: Set<string>;
  /** Whether its steps have run ahead to the very end, and completed it. */
  isCompleted: boolean;
  /** The steps that wait for an operator. */
  readonly parkedSteps: Set<string>;
  /** What operators have decided for single steps, and no step has taken up yet. */
  readonly operations: Map<string, Operation>;
  /** What an operator has decided for the whole: `compensate` or `resolve`. */
  verdict?: Operation;
  /** The ids of the actions heard of. */
  readonly heard: Set<string>;
  /** How often it was told to look in the ledger, and how often it had been when it last did. */
  news: number;
  seenNews: number;
  /** The sagas that run as its steps, by step name. */
  readonly children: Map<string, string>;
  /** Whether it is a step of another saga and has done what that one asked for: then only that one takes it back. */
  isHeld: boolean;
}

/** A run that knows nothing yet. */
export function newRun(definition: SagaDefinition, start: SagaStart): SagaRun {
  return {
    definition,
    start,
    results: {},
    undoStack: [],
    hasPassedPivot: false,
    slowSteps: new Set(),
    isCompleted: false,
    parkedSteps: new Set(),
    operations: new Map(),
    heard: new Set(),
    news: 0,
    seenNews: 0,
    children: new Map(),
    isHeld: false,
  };
}

/** Thrown to end a run whose saga has settled in the ledger without it, e.g. because a person has resolved it. */
export class SettledElsewhere extends Error {
  override readonly name = 'SettledElsewhere';
  constructor(
    readonly outcome: SagaOutcome,
    readonly reason?: Reason,
  ) {
    super(`the saga has settled as ${outcome}`);
  }
}

/**
 * Takes an operator's decision. One that comes before its step has parked is kept: the ledger is changed by then,
 * so nobody would say it again.
 */
export function operate(run: SagaRun, operation: Operation): OperationAnswer {
  if (run.heard.has(operation.actionId)) return 'repeated';
  run.heard.add(operation.actionId);
  if (operation.action === 'compensate' || operation.action === 'resolve') run.verdict = operation;
  else run.operations.set(operation.step, operation);
  return run.parkedSteps.has(operation.step) ? 'resumed' : 'noted';
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

/**
 * Records a change of state in the ledger, then in the Web UI; returns what the ledger knows.
 *
 * @throws SettledElsewhere when the saga has ended in the ledger
 */
export async function enterState(
  run: SagaRun,
  state: Exclude<SagaState, 'accepted' | 'completed' | 'compensated'>,
  change: Pick<StateChange, 'reason' | 'action' | 'resumes'> = {},
): Promise<StateRecord> {
  const recorded = await call({
    activity: 'recordState',
    args: { sagaId: run.start.sagaId, state, ...change },
    retry: PERSISTENT_RETRY,
    summary: state,
  });
  if (recorded.outcome) throw new SettledElsewhere(recorded.outcome, recorded.reason);
  showState(state, change.reason?.step);
  return recorded;
}

/** Which direction of which step waits, and why. */
export interface Park {
  readonly step: string;
  readonly action: StepAction;
  readonly reason: Reason;
  /** Whether news in the ledger let it go on too, as the event does that a wait has given up. @default false */
  readonly heedsNews?: boolean;
}

/**
 * Waits, parked, until an operator decides. A retry, and whatever else the step will find in the ledger, lets it go on.
 *
 * @returns the verdict, when it is to compensate instead
 * @throws CancelledFailure when the wait is cancelled; then it is no longer parked, but its state is the caller's to change
 * @throws SettledElsewhere when a person has ended the saga
 */
export async function park(
  run: SagaRun,
  { step, action, reason, heedsNews = false }: Park,
): Promise<Operation | undefined> {
  await CancellationScope.nonCancellable(() => enterState(run, 'parked', { reason: { ...reason, step }, action }));
  showDetails(`parked at '${step}': ${reason.message}`);
  run.parkedSteps.add(step);
  try {
    const hasNews = (): boolean => heedsNews && run.news !== run.seenNews;
    await condition(() => run.operations.has(step) || verdictFor(run, action) !== undefined || hasNews());
  } finally {
    run.parkedSteps.delete(step);
    run.operations.delete(step);
    showDetails('');
  }
  const verdict = verdictFor(run, action);
  if (verdict?.action === 'resolve') throw new SettledElsewhere(verdict.outcome!, verdict.reason);
  if (verdict) return verdict;
  const resumeAs = action === 'do' ? 'running' : 'compensating';
  await CancellationScope.nonCancellable(() => enterState(run, resumeAs, { resumes: step }));
  return undefined;
}

/** A saga that compensates already need not be told to. */
function verdictFor({ verdict }: SagaRun, action: StepAction): Operation | undefined {
  return verdict?.action === 'resolve' || action === 'do' ? verdict : undefined;
}
