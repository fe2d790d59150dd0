import type pg from 'pg';
import { claimDelivery, recordDelivery, recordDeliveryFailure } from '../src/db/half-message-work.js';
import { claimOutboxDelivery, recordOutboxDelivery, recordOutboxFailure } from '../src/db/outbox-work.js';
import { ParkedError, RejectedError, RetryableError } from '../src/saga/errors.js';
import { isOutboxId } from '../src/saga/ids.js';
import { stillWorking, toFailure } from './failures.js';
import type { HalfMessageActivities, HalfMessageDependencies } from './half-message-activities.js';
import { envelopeOf, type PlainMessage } from './message-envelope.js';
import { cleaned, isStorable } from './storable.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** A message that may be sent, or has been. */
interface Deliverable extends Omit<PlainMessage, 'messageId'> {
  readonly isDelivered: boolean;
}

/** Where messages that belong to no saga are kept. */
interface Store {
  /** CloudEvents `source`. */
  readonly source: string;
  /** Begins an attempt; undefined when it must not be sent. */
  readonly claim: (pool: pg.Pool, messageId: string) => Promise<Deliverable | undefined>;
  readonly recordDelivery: (pool: pg.Pool, messageId: string, result: unknown) => Promise<void>;
  readonly recordFailure: (pool: pg.Pool, messageId: string, error: string) => Promise<void>;
}

const HALF_MESSAGES: Store = {
  source: '/settle/messages',
  claim: claimDelivery,
  recordDelivery,
  recordFailure: recordDeliveryFailure,
};

const OUTBOX: Store = {
  source: '/settle/outbox',
  claim: claimOutboxDelivery,
  recordDelivery: recordOutboxDelivery,
  recordFailure: recordOutboxFailure,
};

/** Sends confirmed half messages and those of the outbox on the one way that all messages take: route, transport, outcome. */
export function createDeliver({ pool, router }: HalfMessageDependencies): HalfMessageActivities['deliver'] {
  return async ({ messageId, timeoutMs = DEFAULT_TIMEOUT_MS }) => {
    const store = isOutboxId(messageId) ? OUTBOX : HALF_MESSAGES;
    try {
      const message = await store.claim(pool, messageId);
      if (!message) throw new ParkedError('not-confirmed', `message '${messageId}' is not confirmed, or dead`);
      if (message.isDelivered) return null;
      const outcome = await router.send(envelopeOf(store.source, { ...message, messageId }), timeoutMs);
      if (outcome.kind === 'done') {
        // nobody's input: one that the ledger cannot hold is no reason to send the message again
        await store.recordDelivery(pool, messageId, isStorable(outcome.result) ? outcome.result : null);
        return null;
      }
      await store.recordFailure(pool, messageId, cleaned(describe(outcome)));
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
