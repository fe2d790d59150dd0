import type { RetryPolicy } from './retry.js';

/**
 * What giving up on a step means. `compensatable`: undone. `pivot`: the point of no return; once done, the saga only goes
 * forward. `retriable`: after the pivot, or without an undo; tried until it succeeds, then parked.
 */
export type StepKind = 'compensatable' | 'pivot' | 'retriable';

/** A local transaction, a message to a participant, an event to wait for, or a saga of its own. */
export type StepType = 'local' | 'message' | 'wait' | 'child';

/** One step as data: everything about it that must not change while a saga is in flight. */
export interface PlanStep {
  readonly name: string;
  readonly type: StepType;
  readonly kind: StepKind;
  /** What it does: the local transaction's name (`orders.place`), the message type (`inventory.deduct`), the event, the saga type. */
  readonly action: string;
  /** The same for `undo`; absent when it has none. */
  readonly undo?: string;
  readonly retry: RetryPolicy;
  readonly undoRetry: RetryPolicy;
  /** How long a `wait` waits for its event, from the moment it is reached, in ms. */
  readonly timeoutMs?: number;
}

/** Steps that run at the same time, and are undone at the same time. */
export interface PlanGroup {
  readonly parallel: readonly PlanStep[];
}

/** The steps of a saga as pinned when it is accepted; it travels in the workflow's input. */
export interface Plan {
  /** The saga type, e.g. `place-order`. */
  readonly saga: string;
  /** From acceptance to the decision to compensate, in ms; absent: none. */
  readonly deadlineMs?: number;
  readonly items: readonly (PlanStep | PlanGroup)[];
}

/** The steps of a plan item: itself, or the members of its group. */
export function stepsOf(item: PlanStep | PlanGroup): readonly PlanStep[] {
  return 'parallel' in item ? item.parallel : [item];
}

/** Whether a step that may have been done is taken back when its saga compensates. */
export function canBeUndone({ undo, kind }: PlanStep): boolean {
  return undo !== undefined && kind !== 'retriable';
}

/** All steps of a plan, in the order of the definition. */
export function allSteps(plan: Plan): readonly PlanStep[] {
  return plan.items.flatMap(stepsOf);
}

/** The message steps that follow a local transaction without anything between them: what it owes, as far as its result tells. */
export function owedAfter(plan: Plan, local: PlanStep): readonly { readonly step: string; readonly type: string }[] {
  const steps = allSteps(plan);
  const following = steps.slice(steps.findIndex(({ name }) => name === local.name) + 1);
  const next = following.findIndex(({ type }) => type !== 'message');
  return following.slice(0, next === -1 ? undefined : next).map(({ name, action }) => ({ step: name, type: action }));
}

/**
 * Where a plan turns from what can be taken back to what cannot: the index of its first item that is not compensatable, or its end.
 * A saga that is a step of another holds there until that other one has settled.
 */
export function turningPoint({ items }: Plan): number {
  const index = items.findIndex((item) => stepsOf(item).some(({ kind }) => kind !== 'compensatable'));
  return index === -1 ? items.length : index;
}
