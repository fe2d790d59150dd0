import { claimMessage, claimUndo, markDead, type LoggedMessage } from '../src/db/message-log.js';
import { contractsOf } from '../src/saga/contracts.js';
import type { Envelope } from '../src/saga/envelope.js';
import { ParkedError, type Reason } from '../src/saga/errors.js';
import { effectKey } from '../src/saga/ids.js';
import type { MessageContract } from '../src/saga/message-contract.js';
import { toFailure } from './failures.js';
import { obtainInActivity } from './obtain.js';
import { finish, settle } from './obtained.js';
import type { ActivityDependencies, DispatchArgs, SagaActivities } from './saga-activities.js';
import { createStepAnswers, recordRefusal, refusalOf, type StepAnswers } from './step-answers.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** Sends messages: claim in the ledger, send, record the answer. A message that has its answer is not sent again. */
export function createDispatch(dependencies: ActivityDependencies): SagaActivities['dispatch'] {
  const contracts = contractsOf(dependencies.definitions);
  const record = createStepAnswers(dependencies.pool, contracts);
  return async (args) => {
    try {
      const claim = args.effect.action === 'do' ? claimMessage : claimUndo;
      const message = await claim(dependencies.pool, { ...args, payload: args.payload });
      if (!message) return null;
      if (message.status === 'sent') return message.result;
      if (message.status === 'rejected') throw refusalOf(args.effect, message.reason);
      return await send(dependencies, record, { args, message, contract: contracts.get(message.type) });
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

async function send(dependencies: ActivityDependencies, record: StepAnswers, sending: Sending): Promise<unknown> {
  const { args, message, contract } = sending;
  if (contract && !contract.payload.safeParse(message.payload).success)
    throw await invalidPayload(dependencies.pool, args, message);
  const answer = await obtainInActivity(dependencies, {
    envelope: envelopeOf(args, message),
    timeoutMs: args.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    patienceMs: args.patienceMs,
    awaitedMs: message.awaitedMs,
    fireAndForget: contract?.fireAndForget ?? false,
  });
  const { effect, maxWaitMs } = args;
  const sent = { effect, revision: message.revision, type: message.type, maxWaitMs };
  return finish(await settle(answer, (given) => record(sent, given)));
}

/** A payload that was never sent is refused; one that an earlier release has sent may have been applied all the same. */
async function invalidPayload(
  pool: ActivityDependencies['pool'],
  { effect }: DispatchArgs,
  { type, attempts, revision }: LoggedMessage,
): Promise<Error> {
  const reason: Reason = { code: 'invalid-payload', message: `the payload breaks the contract of '${type}'` };
  if (attempts === 1) return recordRefusal(pool, { effect, revision }, reason);
  await markDead(pool, { effectKey: effectKey(effect), revision }, { ...reason, step: effect.step });
  return new ParkedError(reason.code, reason.message);
}

/** What a step's message travels in. */
export function envelopeOf(
  { effect, tenantId, saga, traceparent }: Pick<DispatchArgs, 'effect' | 'tenantId' | 'saga' | 'traceparent'>,
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
    orderKey: effect.sagaId,
    traceparent,
    payload: message.payload,
  };
}
