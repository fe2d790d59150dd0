import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { effectKey, type EffectId } from '../saga/ids.js';
import { withTransaction, type Transaction } from './pool.js';
import { AWAITED_MS, IS_AWAITED } from './replies.js';
import { assertOpen, enterForward, MAYBE_APPLIED } from './saga-store.js';

/** A message as a step wants it sent. */
export interface MessageClaim {
  readonly effect: EffectId;
  readonly tenantId: string;
  readonly type: string;
  /** Used only where the ledger has no row yet: the payload of an effect never changes. */
  readonly payload: unknown;
}

/** A message as the ledger holds it. */
export interface LoggedMessage {
  readonly messageId: string;
  readonly type: string;
  readonly payload: unknown;
  readonly revision: number;
  /** Whether an operator has confirmed that this revision may repeat its effect. */
  readonly mayRepeat: boolean;
  /** `sent` and `rejected` are final answers of the participant; `dead` waits for an operator; `withdrawn` was undone unanswered. */
  readonly status: 'pending' | 'sent' | 'rejected' | 'dead' | 'withdrawn';
  /** Attempts begun, this one included. */
  readonly attempts: number;
  readonly result: unknown;
  readonly reason: Reason | null;
  readonly createdAt: Date;
  /** How long the answer to an earlier attempt is still waited for, in ms: until then it is not to be sent again. 0: it is. */
  readonly awaitedMs: number;
}

/** The columns of a message. */
export const MESSAGE_COLUMNS = `message_id as "messageId", type, payload, revision, coalesce(may_repeat = revision, false) as "mayRepeat",
  status, attempts, result, reason, created_at as "createdAt", ${AWAITED_MS} as "awaitedMs"`;

/**
 * Begins an attempt of a `do`: finds or writes the message's row and counts the attempt; one that only goes on waiting is none.
 * A message with a final answer is returned as it is.
 *
 * @throws FencedError when it has no answer yet and its saga has decided to compensate
 */
export async function claimMessage(pool: pg.Pool, claim: MessageClaim): Promise<LoggedMessage> {
  return withTransaction(pool, async (tx) => {
    const known = await countAttempt(tx, claim);
    if (known?.status === 'sent' || known?.status === 'rejected') return known;
    await enterForward(tx, claim.effect);
    return known ?? (await insertMessage(tx, claim));
  });
}

/**
 * Begins an attempt of an `undo`, with the payload that its `do` was sent with.
 *
 * @returns undefined when there is nothing to take back: the `do` was never sent (and is fenced now), or its only attempt was
 *   rejected; a rejection after an attempt without an answer proves nothing about that attempt
 * @throws FencedError when its saga has settled
 */
export async function claimUndo(
  pool: pg.Pool,
  claim: Omit<MessageClaim, 'payload'>,
): Promise<LoggedMessage | undefined> {
  return withTransaction(pool, async (tx) => {
    const known = await countAttempt(tx, claim);
    if (known?.status === 'sent') return known;
    await assertOpen(tx, claim.effect);
    return known ?? (await insertUndo(tx, claim));
  });
}

async function countAttempt(
  tx: Transaction,
  { effect }: Pick<MessageClaim, 'effect'>,
): Promise<LoggedMessage | undefined> {
  const { rows } = await tx.query<LoggedMessage>({
    name: 'count-attempt',
    text: `update settle.message_log
              set attempts = attempts + case when status in ('pending', 'dead') and not ${IS_AWAITED} then 1 else 0 end,
                  first_sent_at = coalesce(first_sent_at, clock_timestamp())
            where effect_key = $1 returning ${MESSAGE_COLUMNS}`,
    values: [effectKey(effect)],
  });
  return rows[0];
}

async function insertMessage(
  tx: Transaction,
  { effect, tenantId, type, payload }: MessageClaim,
): Promise<LoggedMessage> {
  const { rows } = await tx.query<LoggedMessage>({
    name: 'insert-message',
    text: `insert into settle.message_log
             (effect_key, saga_id, tenant_id, step, action, type, payload, attempts, first_sent_at)
           values ($1, $2, $3, $4, $5, $6, $7, 1, clock_timestamp())
           on conflict (effect_key) do update set attempts = message_log.attempts + 1
           returning ${MESSAGE_COLUMNS}`,
    values: [effectKey(effect), effect.sagaId, tenantId, effect.step, effect.action, type, JSON.stringify(payload)],
  });
  return rows[0]!;
}

async function insertUndo(
  tx: Transaction,
  { effect, type }: Omit<MessageClaim, 'payload'>,
): Promise<LoggedMessage | undefined> {
  const { rows } = await tx.query<LoggedMessage>({
    name: 'insert-undo',
    text: `insert into settle.message_log
             (effect_key, saga_id, tenant_id, step, action, type, payload, attempts, first_sent_at, may_repeat)
           select $1, saga_id, tenant_id, step, 'undo', $3, payload, 1, clock_timestamp(), case when may_repeat = revision then 0 end
             from settle.message_log where effect_key = $2 and ${MAYBE_APPLIED}
           on conflict (effect_key) do update set attempts = message_log.attempts + 1
           returning ${MESSAGE_COLUMNS}`,
    values: [effectKey(effect), effectKey({ ...effect, action: 'do' }), type],
  });
  return rows[0];
}

/** A message as it was sent: an operator's edit or retry makes another revision, and answers to this one no longer count. */
export interface SentMessage {
  readonly effectKey: string;
  /** @default whichever is current */
  readonly revision?: number;
}

/** Stores a participant's final answer; the first one stays. */
export async function recordAnswer(
  pool: pg.Pool,
  sent: string | SentMessage,
  answer: { status: 'sent'; result: unknown } | { status: 'rejected'; reason: Reason },
): Promise<void> {
  const isSent = answer.status === 'sent';
  await pool.query({
    name: 'record-answer',
    text: `update settle.message_log
              set status = $3, result = $4, reason = $5, last_error = null, finished_at = clock_timestamp()
            where effect_key = $1 and revision = coalesce($2, revision) and status in ('pending', 'dead')`,
    values: [
      ...keyOf(sent),
      answer.status,
      isSent ? JSON.stringify(answer.result ?? null) : null,
      isSent ? null : JSON.stringify(answer.reason),
    ],
  });
}

/** Notes why an attempt brought no answer, for people to read. */
export async function recordFailure(pool: pg.Pool, sent: string | SentMessage, error: string): Promise<void> {
  await pool.query(
    `update settle.message_log set last_error = $3
      where effect_key = $1 and revision = coalesce($2, revision) and status in ('pending', 'dead')`,
    [...keyOf(sent), error.slice(0, 500)],
  );
}

/** Marks a message as one that no retry can help: it waits for an operator. */
export async function markDead(pool: pg.Pool, sent: string | SentMessage, reason: Reason): Promise<void> {
  await pool.query(
    `update settle.message_log set status = 'dead', reason = $3
      where effect_key = $1 and revision = coalesce($2, revision) and status in ('pending', 'dead')`,
    [...keyOf(sent), JSON.stringify(reason)],
  );
}

function keyOf(sent: string | SentMessage): [key: string, revision: number | null] {
  return typeof sent === 'string' ? [sent, null] : [sent.effectKey, sent.revision ?? null];
}
