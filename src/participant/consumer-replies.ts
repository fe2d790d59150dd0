import { randomUUID } from 'node:crypto';
import { BrokerError, type Broker, type BrokerMessage } from '../brokers/broker.js';
import { encodeReply, type ReplyOutcome } from '../brokers/reply.js';
import type { Logger } from 'pino';
import type { ReplyTarget } from './broker-message.js';
import type { ConsumerMetrics } from './consumer-metrics.js';
import type { InboxAnswer } from './inbox.js';
import { backoffMs, pause } from './pace.js';

/** What it takes to publish what a consumer has to say. */
export interface Publishing {
  readonly broker: Broker;
  readonly consumer: string;
  /** Until the broker has confirmed, in ms. */
  readonly confirmMs: number;
  readonly metrics?: ConsumerMetrics;
  readonly logger?: Pick<Logger, 'error' | 'warn' | 'info'>;
  readonly signal: AbortSignal;
}

/** Whom to tell, and what. */
export interface ReplyParts {
  /** Where the message came from. */
  readonly from: string;
  readonly target: ReplyTarget | undefined;
  readonly outcome: ReplyOutcome;
}

/** A connection that comes back does so within this many attempts; after that the message itself comes again. */
const MAX_ATTEMPTS = 3;

/** The outcome that a sender is told of an answer: whatever was not applied is rejected, with the reason's code. */
export function replyOutcomeOf(answer: InboxAnswer): ReplyOutcome {
  return answer.kind === 'applied'
    ? { kind: 'done', result: answer.result }
    : { kind: 'rejected', reason: { code: answer.reason.code, message: answer.reason.message } };
}

/**
 * Tells the sender, if there is one that waits, and resolves once the broker has it. A reply that nothing can receive counts as given:
 * whoever is not told sends again.
 *
 * @throws BrokerError when it is not confirmed: the message is to come again, and is answered then
 */
export async function sendReply(publishing: Publishing, { from, target, outcome }: ReplyParts): Promise<void> {
  if (!target) return;
  const { consumer, metrics, logger } = publishing;
  const { address, effectKey, revision, token } = target;
  const reply = encodeReply({ id: randomUUID(), source: `/${consumer}`, effectKey, revision, token, outcome });
  try {
    await publishReply(publishing, { reply, address });
    metrics?.countReply(from, outcome.kind);
  } catch (error) {
    if (!(error instanceof BrokerError) || (error.kind !== 'unroutable' && error.kind !== 'too-large')) throw error;
    metrics?.countReply(from, 'lost');
    logger?.warn({ err: error, key: effectKey, address }, `the outcome of '${effectKey}' has nobody to go to`);
  }
}

async function publishReply(
  { broker, confirmMs, signal }: Publishing,
  { reply, address }: { readonly reply: BrokerMessage; readonly address: string },
): Promise<void> {
  for (let made = 1; ; made += 1) {
    try {
      return await broker.publish(reply, { to: address, timeoutMs: confirmMs });
    } catch (error) {
      const mayHelp = error instanceof BrokerError && (error.kind === 'full' || error.kind === 'unavailable');
      if (!mayHelp || made === MAX_ATTEMPTS) throw error;
      await pause(backoffMs(made), signal);
    }
  }
}
