import { claimDelivery } from '../src/db/half-message-work.js';
import { claimOutboxDelivery } from '../src/db/outbox-work.js';
import { withTransaction, type Transaction } from '../src/db/pool.js';
import { ParkedError } from '../src/saga/errors.js';
import { isOutboxId } from '../src/saga/ids.js';
import type { Admission } from '../src/transports/router.js';
import { heldBack, toFailure } from './failures.js';
import type { HalfMessageActivities, HalfMessageDependencies } from './half-message-activities.js';
import { recordMessageAnswer } from './message-answers.js';
import { envelopeOf, type PlainMessage } from './message-envelope.js';
import { currentPath, obtainInActivity } from './obtain.js';
import { finish, settle } from './obtained.js';

const DEFAULT_TIMEOUT_MS = 5_000;

/** A message that may be sent, or has been. */
interface Deliverable extends Omit<PlainMessage, 'messageId'> {
  readonly isDelivered: boolean;
  readonly awaitedMs: number;
}

/** Where messages that belong to no saga are kept. */
interface Store {
  /** CloudEvents `source`. */
  readonly source: string;
  /** Begins an attempt; undefined when it must not be sent. */
  readonly claim: (tx: Transaction, messageId: string) => Promise<Deliverable | undefined>;
}

const HALF_MESSAGES: Store = { source: '/settle/messages', claim: claimDelivery };
const OUTBOX: Store = { source: '/settle/outbox', claim: claimOutboxDelivery };

/** Sends confirmed half messages and those of the outbox on the one way that all messages take: route, transport, outcome. */
export function createDeliver(dependencies: HalfMessageDependencies): HalfMessageActivities['deliver'] {
  const { pool, router } = dependencies;
  return async ({ messageId, timeoutMs = DEFAULT_TIMEOUT_MS, patienceMs }) => {
    const store = isOutboxId(messageId) ? OUTBOX : HALF_MESSAGES;
    let admission: Admission | undefined;
    try {
      const message = await withTransaction(pool, async (tx) => {
        const claimed = await store.claim(tx, messageId);
        if (!claimed || claimed.isDelivered || claimed.awaitedMs > 0) return claimed;
        admission = router.admit(claimed.type, currentPath());
        // undoes the claim: no attempt has begun
        if (admission.held) throw heldBack(claimed.type, admission.held);
        return claimed;
      });
      if (!message) throw new ParkedError('not-confirmed', `message '${messageId}' is not confirmed, or dead`);
      if (message.isDelivered) return null;
      const { type, awaitedMs } = message;
      const envelope = envelopeOf(store.source, { ...message, messageId });
      const askedAt = performance.now();
      const answer = await obtainInActivity(dependencies, { envelope, timeoutMs, patienceMs, awaitedMs });
      admission?.leave(performance.now() - askedAt);
      return finish(await settle(answer, (given) => recordMessageAnswer(pool, { messageId, type }, given)));
    } catch (error) {
      throw toFailure(error);
    } finally {
      admission?.leave();
    }
  };
}
