import {
  claimDelivery,
  recordDelivery,
  recordDeliveryFailure,
  type ConfirmedMessage,
} from '../src/db/half-message-work.js';
import type { Envelope } from '../src/saga/envelope.js';
import { ParkedError, RejectedError, RetryableError } from '../src/saga/errors.js';
import { messageEffectKey } from '../src/saga/ids.js';
import { stillWorking, toFailure } from './failures.js';
import type { HalfMessageActivities, HalfMessageDependencies } from './half-message-activities.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** Sends confirmed messages on the one way that all messages take: route, transport, outcome. */
export function createDeliver({ pool, router }: HalfMessageDependencies): HalfMessageActivities['deliver'] {
  return async ({ messageId, timeoutMs = DEFAULT_TIMEOUT_MS }) => {
    try {
      const message = await claimDelivery(pool, messageId);
      if (!message) throw new ParkedError('not-confirmed', `message '${messageId}' is not confirmed`);
      if (message.isDelivered) return null;
      const outcome = await router.send(envelopeOf(messageId, message), timeoutMs);
      if (outcome.kind === 'done') {
        await recordDelivery(pool, messageId, outcome.result);
        return null;
      }
      await recordDeliveryFailure(pool, messageId, describe(outcome));
      if (outcome.kind === 'rejected') throw new RejectedError(outcome.reason.code, outcome.reason.message);
      if (outcome.kind === 'working') throw stillWorking(message.type, outcome.retryAfterMs);
      throw new RetryableError(`'${message.type}' has no outcome: ${outcome.detail}`, outcome.retryAfterMs);
    } catch (error) {
      throw toFailure(error);
    }
  };
}

type Undelivered = Exclude<Awaited<ReturnType<HalfMessageDependencies['router']['send']>>, { readonly kind: 'done' }>;

function describe(outcome: Undelivered): string {
  if (outcome.kind === 'rejected') return `${outcome.reason.code}: ${outcome.reason.message}`;
  return outcome.kind === 'working' ? 'still being worked on' : outcome.detail;
}

function envelopeOf(messageId: string, message: ConfirmedMessage): Envelope {
  return {
    messageId,
    source: '/settle/messages',
    type: message.type,
    time: message.preparedAt.toISOString(),
    // it belongs to no saga: its own id stands where a saga's would
    sagaId: messageId,
    tenantId: message.tenantId,
    effectKey: messageEffectKey(messageId),
    revision: message.revision,
    mayRepeat: message.mayRepeat,
    payload: message.payload,
  };
}
