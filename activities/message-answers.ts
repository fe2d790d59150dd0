import type pg from 'pg';
import { recordDelivery, recordDeliveryFailure } from '../src/db/half-message-work.js';
import { recordOutboxDelivery, recordOutboxFailure } from '../src/db/outbox-work.js';
import { RejectedError, RetryableError } from '../src/saga/errors.js';
import { isOutboxId } from '../src/saga/ids.js';
import type { Answer } from '../src/saga/outcome.js';
import { stillWorking, toFailure } from './failures.js';
import type { Ended } from './obtained.js';
import { cleaned, isStorable } from './storable.js';

/** A message that belongs to no saga, as it was sent. */
export interface SentPlainMessage {
  /** Of a half message or of the outbox. */
  readonly messageId: string;
  /** The message type. */
  readonly type: string;
}

/**
 * Records an answer to a message that belongs to no saga and that a workflow delivers: the first result stays.
 *
 * @returns what its activity ends with; it rejects only when the ledger cannot be reached
 */
export async function recordMessageAnswer(
  pool: pg.Pool,
  { messageId, type }: SentPlainMessage,
  answer: Answer,
): Promise<Ended> {
  const [record, recordFailure] = isOutboxId(messageId)
    ? [recordOutboxDelivery, recordOutboxFailure]
    : [recordDelivery, recordDeliveryFailure];
  if (answer.kind === 'done') {
    // nobody's input: one that the ledger cannot hold is no reason to send the message again
    await record(pool, messageId, isStorable(answer.result) ? answer.result : null);
    return { isDone: true, result: null };
  }
  await recordFailure(pool, messageId, cleaned(describe(answer)));
  return { isDone: false, failure: toFailure(failureOf(type, answer)) };
}

type Undelivered = Exclude<Answer, { readonly kind: 'done' }>;

function failureOf(type: string, answer: Undelivered): Error {
  if (answer.kind === 'rejected') return new RejectedError(answer.reason.code, answer.reason.message);
  if (answer.kind === 'working') return stillWorking(type, answer.retryAfterMs);
  return new RetryableError(`'${type}' has no outcome: ${answer.detail}`, answer.retryAfterMs);
}

function describe(answer: Undelivered): string {
  if (answer.kind === 'rejected') return `${answer.reason.code}: ${answer.reason.message}`;
  return answer.kind === 'working' ? 'still being worked on' : answer.detail;
}
