import type pg from 'pg';
import { findHeldMessage, findHeldUndo } from '../src/db/held-messages.js';
import { claimMessage, claimUndo, markDead, type LoggedMessage } from '../src/db/message-log.js';
import { contractsOf } from '../src/saga/contracts.js';
import type { Envelope } from '../src/saga/envelope.js';
import { ParkedError, type Reason } from '../src/saga/errors.js';
import { effectKey, type StepAction } from '../src/saga/ids.js';
import type { MessageContract } from '../src/saga/message-contract.js';
import type { Admission } from '../src/transports/router.js';
import { heldBack, toFailure } from './failures.js';
import { currentPath, obtainInActivity } from './obtain.js';
import { finish, settle } from './obtained.js';
import type { ActivityDependencies, DispatchArgs, SagaActivities } from './saga-activities.js';
import { createStepAnswers, recordRefusal, refusalOf, type StepAnswers } from './step-answers.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/**
 * Sends messages: claim in the ledger, send, record the answer. A message that has its answer is not sent again, and one that is
 * held back is not claimed: see transports/circuit.ts and transports/bulkheads.ts.
 */
export function createDispatch(dependencies: ActivityDependencies): SagaActivities['dispatch'] {
  const contracts = contractsOf(dependencies.definitions);
  const record = createStepAnswers(dependencies.pool, contracts);
  return async (args) => {
    const { effect, type, maxWaitMs } = args;
    const { held, leave } = dependencies.router.admit(type, currentPath());
    try {
      const begin = BEGINNINGS[effect.action][held ? 'held' : 'claimed'];
      const message = await begin(dependencies.pool, args);
      if (!message) return null;
      if (message === 'held') throw heldBack(type, held!, maxWaitMs);
      if (message.status === 'sent') return message.result;
      if (message.status === 'rejected') throw refusalOf(effect, message.reason);
      return await send(dependencies, record, { args, message, leave, contract: contracts.get(message.type) });
    } catch (error) {
      throw toFailure(error);
    } finally {
      leave();
    }
  };
}

type Begin = (pool: pg.Pool, args: DispatchArgs) => Promise<LoggedMessage | 'held' | undefined>;

/** Before anything is sent, and where nothing may be. */
const BEGINNINGS: Readonly<Record<StepAction, Readonly<Record<'claimed' | 'held', Begin>>>> = {
  do: { claimed: (pool, args) => claimMessage(pool, { ...args, payload: args.payload }), held: findHeldMessage },
  undo: { claimed: claimUndo, held: findHeldUndo },
};

interface Sending {
  readonly args: DispatchArgs;
  readonly message: LoggedMessage;
  /** Told how long the answer took. */
  readonly leave: Admission['leave'];
  readonly contract?: MessageContract<never>;
}

async function send(dependencies: ActivityDependencies, record: StepAnswers, sending: Sending): Promise<unknown> {
  const { args, message, leave, contract } = sending;
  if (contract && !contract.payload.safeParse(message.payload).success)
    throw await invalidPayload(dependencies.pool, args, message);
  const askedAt = performance.now();
  const answer = await obtainInActivity(dependencies, {
    envelope: envelopeOf(args, message),
    timeoutMs: args.timeoutMs ?? DEFAULT_TIMEOUT_MS,
    patienceMs: args.patienceMs,
    awaitedMs: message.awaitedMs,
    fireAndForget: contract?.fireAndForget ?? false,
  });
  leave(performance.now() - askedAt);
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
