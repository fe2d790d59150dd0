import type pg from 'pg';
import { withTransaction, type Transaction } from '../db/pool.js';
import { MAX_BATCH } from '../saga/half-message.js';
import { createSettleClient, SettleProblem, type Preparation, type SettleOptions } from './settle-client.js';
import { answerCheckBack, commitMessage } from './verdicts.js';

/** A message that belongs to a local transaction. */
export interface OutgoingMessage {
  /** Names the business operation: the same key is the same message, and its work is done once. 1 to 255 visible ASCII characters. */
  readonly key: string;
  /** The message type; the installation has a route for it. */
  readonly type: string;
  readonly payload: unknown;
}

export interface ProducerOptions extends SettleOptions {
  /** Where Settle finds this producer's {@link createCheckBackHandler}: an absolute URL. */
  readonly checkBackUrl: string;
  /** How long transactions usually take at the most; before that nobody checks back. @default Settle's, 6000 */
  readonly immunityMs?: number;
  /** Told when a verdict could not be told: the check-back will find it. */
  readonly onUntold?: (error: unknown, messageId: string) => void;
}

/** What became of a message and its work. */
export interface Sent<Result> {
  readonly messageId: string;
  /** What `work` returned; undefined when it had been done before. */
  readonly result?: Result;
  /** Whether an earlier call under the same key has done the work. */
  readonly replayed: boolean;
}

/** Sends messages that are delivered exactly when the transaction they belong to commits. */
export interface Producer {
  /**
   * Prepares the message, runs the work and its verdict row in one local transaction, confirms.
   * Repeated under the same key, after it has returned or its process has died, it does the work no second time.
   *
   * @throws whatever `work` throws; then nothing is delivered, and the key is spent: try again under a new one
   * @throws RolledBackError when a check-back has been answered as rolled back before the commit; the key is spent
   * @throws when Settle cannot be reached to prepare; then nothing was done, and the key may be used again
   * @throws when the commit's outcome is unknown; then the message is delivered if and only if it has committed
   */
  sendWithTransaction<Result>(
    db: pg.Pool,
    message: OutgoingMessage,
    work: (tx: Transaction, messageId: string) => Promise<Result>,
  ): Promise<Sent<Result>>;
}

/**
 * The producer's side of half messages. Run {@link PRODUCER_MIGRATION} in its database, and serve the check-backs with
 * {@link createCheckBackHandler} from as many processes as you like.
 *
 * @example
 * const producer = createProducer({ url: 'http://settle:3000', checkBackUrl: 'http://billing:8080/check-back' });
 * await producer.sendWithTransaction(pool, { key: invoiceId, type: 'accounts.debit', payload }, (tx) => payInvoice(tx, invoiceId));
 */
export function createProducer({ checkBackUrl, immunityMs, onUntold, ...options }: ProducerOptions): Producer {
  const settle = createSettleClient(options);
  const tell = async (messageId: string, verdict: 'committed' | 'rolled-back'): Promise<void> => {
    try {
      await settle.tell(messageId, verdict);
    } catch (error) {
      // Settle asks by itself; only a verdict that it has heard otherwise is a matter for the caller
      if (error instanceof SettleProblem && error.code === 'message-decided') throw error;
      onUntold?.(error, messageId);
    }
  };
  return {
    sendWithTransaction: async (db, { key, type, payload }, work) => {
      // what createCheckBackHandler takes
      const preparation: Preparation = { key, type, payload, checkBackUrl, checkBackBatch: MAX_BATCH, immunityMs };
      const messageId = await settle.prepare(preparation);
      const sent = await runOnce(db, messageId, (tx) => work(tx, messageId)).catch(async (error: unknown) => {
        await rollBack(db, messageId, tell);
        throw error;
      });
      await tell(messageId, 'committed');
      return sent;
    },
  };
}

async function runOnce<Result>(
  db: pg.Pool,
  messageId: string,
  work: (tx: Transaction) => Promise<Result>,
): Promise<Sent<Result>> {
  return withTransaction(db, async (tx) => {
    if (!(await commitMessage(tx, messageId))) return { messageId, replayed: true };
    return { messageId, result: await work(tx), replayed: false };
  });
}

/**
 * After a failure the transaction may have committed all the same: its connection may have broken on the way back.
 * So the database is asked as a check-back asks it, tombstone first; without an answer the check-back does it later.
 */
async function rollBack(
  db: pg.Pool,
  messageId: string,
  tell: (messageId: string, verdict: 'committed' | 'rolled-back') => Promise<void>,
): Promise<void> {
  const verdict = await answerCheckBack(db, messageId).catch(() => 'unknown' as const);
  // the caller's error says more than one of telling
  if (verdict !== 'unknown') await tell(messageId, verdict).catch(() => undefined);
}
