import { claimMessage, claimUndo, recordAnswer, recordFailure, type LoggedMessage } from '../src/db/message-log.js';
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
  const contracts = contractsOf(dependencies);
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
  const key = effectKey(args.effect);
  if (contract && !contract.payload.safeParse(message.payload).success) throw await invalidPayload(pool, args, message);
  const answer = await router.send(envelopeOf(args, message), args.timeoutMs ?? DEFAULT_TIMEOUT_MS);
  const outcome = checked(answer, args.effect.action, contract);
  switch (outcome.kind) {
    case 'done':
      await recordAnswer(pool, key, { status: 'sent', result: outcome.result });
      return outcome.result;
    case 'rejected':
      throw await rejected(pool, args, outcome.reason);
    case 'working':
      await recordFailure(pool, key, 'still being worked on');
      throw stillWorking(message.type, waitOf(args, outcome.retryAfterMs));
    default:
      await recordFailure(pool, key, outcome.detail);
      throw new RetryableError(
        `'${message.type}' has no outcome: ${outcome.detail}`,
        waitOf(args, outcome.retryAfterMs),
      );
  }
}

/** A payload that was never sent is refused; one that an earlier release has sent may have been applied all the same. */
async function invalidPayload(
  pool: ActivityDependencies['pool'],
  args: DispatchArgs,
  message: LoggedMessage,
): Promise<Error> {
  const reason = { code: 'invalid-payload', message: `the payload breaks the contract of '${message.type}'` };
  return message.attempts > 1 ? new ParkedError(reason.code, reason.message) : rejected(pool, args, reason);
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
function checked(outcome: Outcome, action: StepAction, contract: MessageContract<never> | undefined): Outcome {
  if (outcome.kind !== 'done') return outcome;
  if (action === 'undo') return { kind: 'done', result: null };
  if (!isStorable(outcome.result)) return { kind: 'unknown', detail: 'the result holds text that no database can' };
  if (!contract || contract.result.safeParse(outcome.result).success) return outcome;
  return { kind: 'unknown', detail: `the result breaks the contract of '${contract.type}'` };
}

async function rejected(pool: ActivityDependencies['pool'], args: DispatchArgs, reason: Reason): Promise<Error> {
  // the participant has this effect under another payload: what it did is for a person to find out
  if (reason.code === 'effect-key-reused') return new ParkedError(reason.code, reason.message);
  const located: Reason = { ...reason, step: args.effect.step };
  // a refused undo is no final answer: it waits, parked, for an operator
  if (args.effect.action === 'undo')
    await recordFailure(pool, effectKey(args.effect), `${reason.code}: ${reason.message}`);
  else await recordAnswer(pool, effectKey(args.effect), { status: 'rejected', reason: located });
  return refusal(args, located);
}

function refusal({ effect }: DispatchArgs, reason: Reason | null): Error {
  const { code, message } = reason ?? { code: 'rejected', message: 'was rejected' };
  return effect.action === 'undo' ? new ParkedError(code, message) : new RejectedError(code, message);
}

function envelopeOf({ effect, tenantId, saga }: DispatchArgs, message: LoggedMessage): Envelope {
  return {
    messageId: message.messageId,
    source: `/settle/${saga}`,
    type: message.type,
    time: message.createdAt.toISOString(),
    sagaId: effect.sagaId,
    tenantId,
    effectKey: effectKey(effect),
    revision: message.revision,
    payload: message.payload,
  };
}

function contractsOf({ definitions }: ActivityDependencies): ReadonlyMap<string, MessageContract<never>> {
  const contracts = definitions.flatMap(({ code }) => [...code.values()].flatMap(({ contract }) => contract ?? []));
  return new Map(
    contracts
      .flatMap((contract) => [contract, contract.undo ?? []].flat())
      .map((contract) => [contract.type, contract as MessageContract<never>]),
  );
}
