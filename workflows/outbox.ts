import type { OutboxEnd, OutboxStart } from '../src/saga/outbox.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import { call, readFailure } from './saga-calls.js';

/**
 * The workflow of an outbox message that the relay's first attempts have not delivered: tries on for a day.
 * What its participant refuses, or never answers, becomes a dead letter with the reason; the workflow's work ends there, as an
 * operator who sends it again hands it to the relay.
 */
export async function outboxMessage({ messageId, type }: OutboxStart): Promise<OutboxEnd> {
  const retry = PERSISTENT_RETRY;
  try {
    await call({ activity: 'deliver', args: { messageId }, retry, summary: type });
    return { messageId, state: 'delivered' };
  } catch (error) {
    const failure = readFailure(error, 'message');
    // cancelled by hand: the scan starts another for as long as the message is open
    if (failure.kind === 'unknown' && failure.isCancelled) throw error;
    const args = { messageId, reason: failure.reason };
    return { messageId, state: await call({ activity: 'buryMessage', args, retry, summary: 'dead letter' }) };
  }
}
