import type { Transaction } from '../db/pool.js';
import type { Verdict } from '../saga/half-message.js';

/** Where a producer's own transactions run; a pool of `pg` is one. */
export type ProducerDatabase = Transaction;

/** Thrown inside the local transaction when its message was answered as rolled back before it could commit. */
export class RolledBackError extends Error {
  override readonly name = 'RolledBackError';
  constructor(
    readonly messageId: string,
    options?: ErrorOptions,
  ) {
    super(`message '${messageId}' was answered as rolled back; its transaction can no longer commit`, options);
  }
}

/**
 * Writes the verdict row: it commits with the business rows of `tx`, or not at all. Call it before the business work,
 * so that a check-back that comes meanwhile waits for the end of the transaction instead of deciding against it.
 *
 * @returns false when an earlier transaction has committed for this message: the work must not be done again
 * @throws RolledBackError when a check-back was answered as rolled back first
 */
export async function commitMessage(tx: Transaction, messageId: string): Promise<boolean> {
  try {
    const { rows } = await tx.query<{ isFirst: boolean }>('select settle_producer.commit_message($1) as "isFirst"', [
      messageId,
    ]);
    return rows[0]!.isFirst;
  } catch (cause) {
    const { code, constraint } = cause as { code?: string; constraint?: string };
    if (code === '23505' && constraint === 'verdict_pkey') throw new RolledBackError(messageId, { cause });
    throw cause;
  }
}

/**
 * What became of a message's transaction. Where there is no row, the tombstone is written first: what was answered as rolled
 * back can never commit.
 *
 * @returns `unknown` while its transaction is under way
 * @throws when the database does not answer
 */
export async function answerCheckBack(db: ProducerDatabase, messageId: string): Promise<Verdict | 'unknown'> {
  const { rows } = await db.query<{ verdict: Verdict | 'unknown' }>(
    'select settle_producer.check_back($1) as verdict',
    [messageId],
  );
  return rows[0]!.verdict;
}

/**
 * What became of the transactions of many messages, as {@link answerCheckBack} says it of one.
 *
 * @returns verdicts by message id
 * @throws when the database does not answer
 */
export async function answerCheckBacks(
  db: ProducerDatabase,
  messageIds: readonly string[],
): Promise<Readonly<Record<string, Verdict | 'unknown'>>> {
  const { rows } = await db.query<{ verdicts: Record<string, Verdict | 'unknown'> }>(
    'select settle_producer.check_back_all($1) as verdicts',
    [messageIds],
  );
  return rows[0]!.verdicts;
}
