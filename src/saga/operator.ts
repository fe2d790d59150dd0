import type { Reason } from './errors.js';
import type { StepAction } from './ids.js';
import type { PlanStep } from './plan.js';
import type { SubjectKind } from './subject.js';
import type { SagaOutcome } from './state.js';

/**
 * What an operator may do about a parked step.
 *
 * | action | what it does |
 * |---|---|
 * | retry | tries the step's failed direction again; a refusal that stands is asked anew, under a higher revision |
 * | skip | attests that the effect is there (with its result), or that it has been undone; it is not asked for again |
 * | compensate | gives up going forward and takes back what was done |
 * | resolve | ends the saga as a person says it ended; nothing more is sent |
 * | edit | another payload under the same effect key and a higher revision, then retry |
 */
export const OPERATOR_ACTIONS = ['retry', 'skip', 'compensate', 'resolve', 'edit'] as const;
export type OperatorAction = (typeof OPERATOR_ACTIONS)[number];

/**
 * What an operator may do about a parked message.
 *
 * | action | what it does |
 * |---|---|
 * | retry | asks its producer for the verdict again |
 * | confirm | gives the verdict that the producer did not give: it is delivered |
 * | resend | sends it again, under the same effect key and a higher revision |
 * | edit | another payload under the same effect key and a higher revision, then resend |
 * | skip | attests that its effect is there; it is not sent again |
 * | discard | gives it up: without a verdict it is rolled back, with one it is never delivered |
 */
export const MESSAGE_ACTIONS = ['retry', 'confirm', 'resend', 'edit', 'skip', 'discard'] as const;
export type MessageAction = (typeof MESSAGE_ACTIONS)[number];

/** Everything that an operator may do about something. */
export const ALL_ACTIONS = [...new Set([...OPERATOR_ACTIONS, ...MESSAGE_ACTIONS])] as const;
export type AnyAction = OperatorAction | MessageAction;

/** The code of the reason with which a person has ended a saga. */
export const RESOLVED_MANUALLY = 'resolved-manually';

/** Why a step waits for an operator, and since when. */
export interface Parked extends Reason {
  /** Which of its directions cannot succeed. */
  readonly action: StepAction;
  /** ISO 8601. */
  readonly at: string;
}

/** What a workflow is told: the ledger holds the change already, so that hearing it late or twice does no harm. */
export interface Operation {
  readonly actionId: string;
  readonly action: AnyAction;
  /** The parked step that it was decided for; of a message always `message`. */
  readonly step: string;
  /** Who said why, as a saga shows it. */
  readonly reason: Reason;
  /** With `resolve`. */
  readonly outcome?: SagaOutcome;
}

/** How a workflow answers: the step, or the message, goes on; it will as soon as it parks; it was told before. */
export type OperationAnswer = 'resumed' | 'noted' | 'repeated';

/** What the choice of actions depends on. */
export interface ParkedFacts {
  readonly step: PlanStep;
  readonly parked: Parked;
  /** Whether the ledger holds the message, and so the payload, of the parked direction. */
  readonly hasMessage: boolean;
  /** Whether another step that cannot be taken back is done, or perhaps done. */
  readonly hasPassedPivot: boolean;
}

/** The author's code must be mended first: attested or edited, the step would still come to it. */
const NEEDS_CODE: readonly string[] = ['unknown-step', 'definition-failed'];

/** What an operator may do about a parked step; nothing else is accepted. */
export function legalActions({ step, parked, hasMessage, hasPassedPivot }: ParkedFacts): readonly OperatorAction[] {
  const isReachable = !NEEDS_CODE.includes(parked.code);
  const legal: Readonly<Record<OperatorAction, boolean>> = {
    retry: true,
    skip: isReachable && (step.type === 'local' || step.type === 'wait' || hasMessage),
    compensate: parked.action === 'do' && !hasPassedPivot,
    resolve: true,
    edit: isReachable && hasMessage,
  };
  return OPERATOR_ACTIONS.filter((action) => legal[action]);
}

/** What an operator may do about a parked message: one without a verdict waits for it, one with a verdict for its delivery. */
export function legalMessageActions(hasVerdict: boolean): readonly MessageAction[] {
  return hasVerdict ? ['resend', 'edit', 'skip', 'discard'] : ['retry', 'confirm', 'discard'];
}

/** Actions after which a participant is asked for an effect, or its undo, that it may have seen before. */
const SENDING: readonly AnyAction[] = ['retry', 'resend', 'edit', 'compensate'];

/** Whether an action may come to a participant that has been asked before. */
export function sendsAgain(kind: SubjectKind, action: AnyAction): boolean {
  // a message without a verdict was never sent: its retry asks the producer
  return SENDING.includes(action) && !(kind !== 'saga' && action === 'retry');
}
