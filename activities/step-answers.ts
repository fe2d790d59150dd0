import type pg from 'pg';
import { markDead, recordAnswer, recordFailure, type SentMessage } from '../src/db/message-log.js';
import type { ContractTable } from '../src/saga/contracts.js';
import { ParkedError, RejectedError, RetryableError, type Reason } from '../src/saga/errors.js';
import { effectKey, type EffectId, type StepAction } from '../src/saga/ids.js';
import type { MessageContract } from '../src/saga/message-contract.js';
import type { Answer } from '../src/saga/outcome.js';
import { stillWorking, toFailure } from './failures.js';
import type { Ended } from './obtained.js';
import { isStorable } from './storable.js';

const DEFAULT_MAX_WAIT_MS = 10_000;

/** A saga's message as it was sent. */
export interface SentStep {
  readonly effect: EffectId;
  readonly revision: number;
  /** The message type. */
  readonly type: string;
  /** The longest wait that a participant may ask for, in ms. @default 10000 */
  readonly maxWaitMs?: number;
}

/** Records answers to the messages of sagas. */
export type StepAnswers = (sent: SentStep, answer: Answer) => Promise<Ended>;

/**
 * How answers to the messages of sagas are recorded, whoever has obtained them: the first final one stays.
 *
 * @returns what the step's activity ends with; it rejects only when the ledger cannot be reached
 */
export function createStepAnswers(pool: pg.Pool, contracts: ContractTable): StepAnswers {
  return async (step, given) => {
    const sent: SentMessage = { effectKey: effectKey(step.effect), revision: step.revision };
    const answer = checked(given, step.effect.action, contracts.get(step.type));
    switch (answer.kind) {
      case 'done':
        await recordAnswer(pool, sent, { status: 'sent', result: answer.result });
        return { isDone: true, result: answer.result };
      case 'rejected':
        return failed(await recordRefusal(pool, step, answer.reason));
      case 'working':
        await recordFailure(pool, sent, 'still being worked on');
        return failed(stillWorking(step.type, waitOf(step, answer.retryAfterMs)));
      default: {
        await recordFailure(pool, sent, answer.detail);
        const message = `'${step.type}' has no outcome: ${answer.detail}`;
        return failed(new RetryableError(message, waitOf(step, answer.retryAfterMs)));
      }
    }
  };
}

function failed(error: Error): Ended {
  return { isDone: false, failure: toFailure(error) };
}

/**
 * The wait that a participant asks for, within what the step allows: Temporal gives an activity up at once when it is told to
 * wait longer than its budget, or not at all.
 */
function waitOf({ maxWaitMs = DEFAULT_MAX_WAIT_MS }: SentStep, askedMs: number | undefined): number | undefined {
  return askedMs === undefined || askedMs <= 0 ? undefined : Math.min(askedMs, maxWaitMs);
}

/**
 * A `do` whose result breaks the contract is applied, but of no use: nobody knows what it did.
 * An undo's result is nobody's input, and one that found nothing to take back has none; nor has what nobody answers.
 */
export function checked(answer: Answer, action: StepAction, contract: MessageContract<never> | undefined): Answer {
  if (answer.kind !== 'done') return answer;
  if (action === 'undo' || contract?.fireAndForget) return { kind: 'done', result: null };
  if (!isStorable(answer.result)) return { kind: 'unknown', detail: 'the result holds text that no database can' };
  if (!contract || contract.result.safeParse(answer.result).success) return answer;
  return { kind: 'unknown', detail: `the result breaks the contract of '${contract.type}'` };
}

/** The participant has this effect under another payload, or may have forgotten it: what it did is for a person to find out. */
export const UNCERTAIN: ReadonlySet<string> = new Set(['effect-key-reused', 'beyond-window']);

/**
 * Records a refusal. What no retry can help becomes a dead letter, which an operator reads; the others are final answers.
 *
 * @returns what it means for its saga
 */
export async function recordRefusal(
  pool: pg.Pool,
  { effect, revision }: Pick<SentStep, 'effect' | 'revision'>,
  reason: Reason,
): Promise<Error> {
  const sent: SentMessage = { effectKey: effectKey(effect), revision };
  const located: Reason = { ...reason, step: effect.step };
  const isUncertain = UNCERTAIN.has(reason.code);
  if (isUncertain || effect.action === 'undo') await markDead(pool, sent, located);
  else await recordAnswer(pool, sent, { status: 'rejected', reason: located });
  return isUncertain ? new ParkedError(reason.code, reason.message) : refusalOf(effect, located);
}

/** What a recorded refusal means for its saga. */
export function refusalOf({ action }: EffectId, reason: Reason | null): Error {
  const { code, message } = reason ?? { code: 'rejected', message: 'was rejected' };
  return action === 'undo' ? new ParkedError(code, message) : new RejectedError(code, message);
}
