import {
  claimMessage,
  claimUndo,
  markDead,
  recordAnswer,
  recordFailure,
  type LoggedMessage,
  type SentMessage,
} from '../src/db/message-log.js';
import { contractsOf } from '../src/saga/contracts.js';
import type { Envelope } from '../src/saga/envelope.js';
import { ParkedError, RejectedError, RetryableError, type Reason } from '../src/saga/errors.js';
import { effectKey, type StepAction } from '../src/saga/ids.js';
import type { MessageContract } from '../src/saga/message-contract.js';
import type { Outcome } from '../src/saga/outcome.js';
import { stillWorking, toFailure } from './failures.js';
import type { ActivityDependencies, DispatchArgs, SagaActivities } from './saga-activities.js';
import { isStorable } from './storable.js';

const DEFAULT_TIMEOUT_MS = 5_000;
const DEFAULT_MAX_WAIT_MS = 10_000;

/** Sends messages: claim in the ledger, send, record the answer. A message that has its answer is not sent again. */
export function createDispatch(dependencies: ActivityDependencies): SagaActivities['dispatch'] {
  const contracts = contractsOf(dependencies.definitions);
  return async (args) => {
    try {
      const claim = args.effect.action === 'do' ? claimMessage : claimUndo;
      const message = await claim(dependencies.pool, { ...args, payload: args.payload });
      if (!message) return null;
      if (message.status === 'sent') return message.result;
      if (message.status === 'rejected') throw refusal(args, message.reason);
      return await send(dependencies, { args, message, contract: contracts.get(message.type) });
    } catch (error) {
      throw toFailure(error);
    }
  };
}

interface Sending {
  readonly args: DispatchArgs;
  readonly message: LoggedMessage;
  readonly contract?: MessageContract<never>;
}

async function send({ pool, router }: ActivityDependencies, { args, message, contract }: Sending): Promise<unknown> {
  const sent: SentMessage = { effectKey: effectKey(args.effect), revision: message.revision };
  if (contract && !contract.payload.safeParse(message.payload).success)
    throw await invalidPayload(pool, { args, sent }, message);
  const answer = await router.send(envelopeOf(args, message), args.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const outcome = checked(answer, args.effect.action, contract);
  switch (outcome.kind) {
    case 'done':
      await recordAnswer(pool, sent, { status: 'sent', result: outcome.result });
      return outcome.result;
    case 'rejected':
      throw await rejected(pool, { args, sent }, outcome.reason);
    case 'working':
      await recordFailure(pool, sent, 'still being worked on');
      throw stillWorking(message.type, waitOf(args, outcome.retryAfterMs));
    default:
      await recordFailure(pool, sent, outcome.detail);
      throw new RetryableError(
        `'${message.type}' has no outcome: ${outcome.detail}`,
        waitOf(args, outcome.retryAfterMs),
      );
  }
}

/** What was sent, and for whom. */
interface Sent {
  readonly args: DispatchArgs;
  readonly sent: SentMessage;
}

/** A payload that was never sent is refused; one that an earlier release has sent may have been applied all the same. */
async function invalidPayload(
  pool: ActivityDependencies['pool'],
  { args, sent }: Sent,
  { type, attempts }: LoggedMessage,
): Promise<Error> {
  const reason: Reason = { code: 'invalid-payload', message: `the payload breaks the contract of '${type}'` };
  if (attempts === 1) return rejected(pool, { args, sent }, reason);
  await markDead(pool, sent, { ...reason, step: args.effect.step });
  return new ParkedError(reason.code, reason.message);
}

/**
 * The wait that a participant asks for, within what the step allows: Temporal gives an activity up at once when it is told to
 * wait longer than its budget, or not at all.
 */
function waitOf({ maxWaitMs = DEFAULT_MAX_WAIT_MS }: DispatchArgs, askedMs: number | undefined): number | undefined {
  return askedMs === undefined || askedMs <= 0 ? undefined : Math.min(askedMs, maxWaitMs);
}

/**
 * A `do` whose result breaks the contract is applied, but of no use: nobody knows what it did.
 * An undo's result is nobody's input, and one that found nothing to take back has none.
 */
export function checked(outcome: Outcome, action: StepAction, contract: MessageContract<never> | undefined): Outcome {
  if (outcome.kind !== 'done') return outcome;
  if (action === 'undo') return { kind: 'done', result: null };
  if (!isStorable(outcome.result)) return { kind: 'unknown', detail: 'the result holds text that no database can' };
  if (!contract || contract.result.safeParse(outcome.result).success) return outcome;
  return { kind: 'unknown', detail: `the result breaks the contract of '${contract.type}'` };
}

/** The participant has this effect under another payload, or may have forgotten it: what it did is for a person to find out. */
export const UNCERTAIN: ReadonlySet<string> = new Set(['effect-key-reused', 'beyond-window']);

/** Records a refusal. What no retry can help becomes a dead letter, which an operator reads; the others are final answers. */
async function rejected(pool: ActivityDependencies['pool'], { args, sent }: Sent, reason: Reason): Promise<Error> {
  const located: Reason = { ...reason, step: args.effect.step };
  const isUncertain = UNCERTAIN.has(reason.code);
  if (isUncertain || args.effect.action === 'undo') await markDead(pool, sent, located);
  else await recordAnswer(pool, sent, { status: 'rejected', reason: located });
  return isUncertain ? new ParkedError(reason.code, reason.message) : refusal(args, located);
}

function refusal({ effect }: DispatchArgs, reason: Reason | null): Error {
  const { code, message } = reason ?? { code: 'rejected', message: 'was rejected' };
  return effect.action === 'undo' ? new ParkedError(code, message) : new RejectedError(code, message);
}

/** What a step's message travels in. */
export function envelopeOf(
  { effect, tenantId, saga }: Pick<DispatchArgs, 'effect' | 'tenantId' | 'saga'>,
  message: LoggedMessage,
): Envelope {
  return {
    messageId: message.messageId,
    source: `/settle/${saga}`,
    type: message.type,
    time: message.createdAt.toISOString(),
    sagaId: effect.sagaId,
    tenantId,
    effectKey: effectKey(effect),
    revision: message.revision,
    mayRepeat: message.mayRepeat,
    payload: message.payload,
  };
}
