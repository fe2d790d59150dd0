import type { LoggedMessage } from '../src/db/message-log.js';
import type { ExpressAnswer, ExpressFinding } from '../src/db/express.js';
import type { AcceptedSaga } from '../src/db/saga-store.js';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { Reason } from '../src/saga/errors.js';

/** How a message was answered, as its own attempt saw it. */
type Answer =
  | { readonly status: 'sent'; readonly result: unknown; readonly at: number }
  | { readonly status: 'rejected'; readonly reason: Reason; readonly at: number }
  | { readonly status: 'pending'; readonly error: string };

/** One saga on its way through the express lane: what is known of it and not yet in the ledger. */
export interface Ride {
  readonly saga: AcceptedSaga;
  readonly definition: SagaDefinition;
  /** By step name. */
  readonly results: Record<string, unknown>;
  /** The messages that count as begun since its acceptance, by step. */
  readonly messages: ReadonlyMap<string, LoggedMessage>;
  /** Of those that were sent, by step. */
  readonly answers: Map<string, Answer>;
  /** Whether an attempt of so many ms ends before the lease does. */
  readonly hasTimeFor: (ms: number) => boolean;
}

/**
 * Begins to count a lease, before the ledger does: whatever this process is kept waiting for, its lease ends first. The clock that
 * jumps is asked as well, as the other stands still while a machine is suspended.
 */
export function countLease(leaseMs: number): Ride['hasTimeFor'] {
  const [begunAt, begunOn] = [performance.now(), Date.now()];
  return (ms) => Math.max(performance.now() - begunAt, Date.now() - begunOn) + ms <= leaseMs;
}

/** The answers of a saga all of whose messages were answered well. */
export function answersOf(ride: Ride): ExpressAnswer[] {
  return findingsOf(ride).flatMap((finding) => (finding.status === 'sent' ? [finding] : []));
}

/** All that is known of its messages. */
export function findingsOf({ saga, messages, answers }: Ride): ExpressFinding[] {
  const now = performance.now();
  return [...messages.keys()].map((step) => {
    const effectKey = `${saga.id}/${step}/do`;
    const answer = answers.get(step);
    if (!answer) return { effectKey, status: 'unsent' };
    return 'at' in answer ? { effectKey, ...answer, ageMs: now - answer.at } : { effectKey, ...answer };
  });
}
