import { ApplicationFailure } from '@temporalio/common';
import type { LoggedMessage } from '../src/db/message-log.js';
import { effectKey, type EffectId } from '../src/saga/ids.js';
import { owedAfter, type PlanStep } from '../src/saga/plan.js';
import type { Router } from '../src/transports/router.js';
import { envelopeOf } from './dispatch.js';
import type { Ride } from './express-ride.js';
import { HELD_BACK, STILL_WORKING } from './failures.js';
import type { DispatchArgs, SagaActivities } from './saga-activities.js';
import { checked, UNCERTAIN } from './step-answers.js';
import { cleaned } from './storable.js';

/** Why a saga leaves the express lane. */
export type Trouble =
  /** A participant, or a local step, has refused. */
  | 'rejected'
  /** No answer, or none that can be understood. */
  | 'unknown'
  /** A participant has asked for time. */
  | 'working'
  /** Its participant does not answer just now: nothing was sent. */
  | 'held'
  /** A broker has the message: the participant's answer comes later, and to whichever worker hears of it. */
  | 'accepted'
  /** It is to be cancelled, or its lease was taken away. */
  | 'stopped'
  /** The lease would end before an attempt does. */
  | 'late'
  /** The process is to end. */
  | 'closing'
  /** The definition's code has failed. */
  | 'definition'
  /** The ledger has not answered. */
  | 'ledger';

/** What steps are run with. */
export interface StepTools {
  readonly router: Pick<Router, 'admit' | 'send'>;
  readonly activities: Pick<SagaActivities, 'runLocal' | 'dispatch'>;
  readonly isClosing: () => boolean;
}

/** One attempt; longer ones belong where a person can see them. */
const ATTEMPT_MS = 1_500;

/** Runs one step, once. Returns undefined when it is done or not needed. */
export async function runExpressStep(tools: StepTools, ride: Ride, step: PlanStep): Promise<Trouble | undefined> {
  const { saga, definition, results } = ride;
  const code = definition.code.get(step.name);
  const scope = { ...results, input: saga.input } as never;
  let payload: unknown;
  try {
    if (code?.when && !code.when(scope)) return undefined;
    payload = code?.payload?.(scope);
  } catch {
    // the workflow evaluates it again, and parks
    return 'definition';
  }
  const timeoutMs = Math.min(ATTEMPT_MS, step.retry.timeoutMs);
  if (tools.isClosing()) return 'closing';
  if (!ride.hasTimeFor(timeoutMs)) return 'late';
  const effect: EffectId = { sagaId: saga.id, step: step.name, action: 'do' };
  const message = ride.messages.get(step.name);
  if (message) return sendOnce(tools.router, ride, { effect, message, timeoutMs });
  const target = { effect, ...senderOf(saga) };
  const { runLocal, dispatch } = tools.activities;
  try {
    results[step.name] =
      step.type === 'local'
        ? await runLocal({ ...target, work: step.action, input: saga.input, results, owes: owedAfter(saga.plan, step) })
        : await dispatch({ ...target, type: step.action, payload, timeoutMs, maxWaitMs: step.retry.capMs });
    return undefined;
  } catch (error) {
    // in the ledger already
    return troubleOf(error);
  }
}

function senderOf({
  tenantId,
  type,
  traceparent,
}: Ride['saga']): Pick<DispatchArgs, 'tenantId' | 'saga' | 'traceparent'> {
  return { tenantId, saga: type, traceparent: traceparent ?? undefined };
}

interface Sending {
  readonly effect: EffectId;
  readonly message: LoggedMessage;
  readonly timeoutMs: number;
}

/** Sends a message that the ledger counts as begun, and remembers its answer for the ledger. */
async function sendOnce(
  router: StepTools['router'],
  { saga, definition, results, answers }: Ride,
  { effect, message, timeoutMs }: Sending,
): Promise<Trouble | undefined> {
  const { step } = effect;
  if (router.admit(message.type).held) return 'held';
  answers.set(step, { status: 'pending', error: 'no answer' });
  const unanswered = (error: string): void => void answers.set(step, { status: 'pending', error: cleaned(error) });
  try {
    const envelope = envelopeOf({ effect, ...senderOf(saga) }, message);
    const outcome = await router.send(envelope, timeoutMs, { isShort: true });
    if (outcome.kind === 'accepted') {
      unanswered('a broker has it, and its answer comes later');
      return 'accepted';
    }
    const answer = checked(outcome, 'do', definition.code.get(step)?.contract);
    if (answer.kind === 'done') {
      results[step] = answer.result;
      answers.set(step, { status: 'sent', result: answer.result, at: performance.now() });
      return undefined;
    }
    if (answer.kind === 'rejected' && !UNCERTAIN.has(answer.reason.code)) {
      answers.set(step, { status: 'rejected', reason: { ...answer.reason, step }, at: performance.now() });
      return 'rejected';
    }
    if (answer.kind === 'working') unanswered('still being worked on');
    if (answer.kind === 'rejected') unanswered(`${answer.reason.code}: ${answer.reason.message}`);
    if (answer.kind === 'unknown') unanswered(answer.detail);
    return answer.kind === 'working' ? 'working' : 'unknown';
  } catch (error) {
    unanswered(`'${effectKey(effect)}' was not answered: ${String(error)}`);
    return 'unknown';
  }
}

function troubleOf(error: unknown): Trouble {
  const type = error instanceof ApplicationFailure ? error.type : undefined;
  if (type === 'RejectedError') return 'rejected';
  if (type === 'FencedError') return 'stopped';
  if (type === HELD_BACK) return 'held';
  return type === STILL_WORKING ? 'working' : 'unknown';
}
