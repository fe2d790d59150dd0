import type pg from 'pg';
import { effectKey, type EffectId } from '../saga/ids.js';
import { MESSAGE_COLUMNS, type LoggedMessage } from './message-log.js';
import { withTransaction, type Transaction } from './pool.js';
import { assertOpen, enterForward, MAYBE_APPLIED } from './saga-store.js';

/** A message as its step finds it while nothing may be sent: one that would have to be is `held`, and no attempt of it begins. */
type Found = LoggedMessage | 'held';

/**
 * Looks at a `do` that may not be sent now. It leaves no trace of an attempt: one that never began needs no undo.
 *
 * @returns the message when it is answered, or its answer is still waited for
 * @throws FencedError as a claim does
 */
export async function findHeldMessage(pool: pg.Pool, { effect }: { readonly effect: EffectId }): Promise<Found> {
  return withTransaction(pool, async (tx) => {
    const known = await findMessage(tx, effect);
    if (known?.status === 'sent' || known?.status === 'rejected') return known;
    // its workflow runs, and must not count as one that waits to be started
    await enterForward(tx, effect);
    return isAwaited(known) ? known : 'held';
  });
}

/**
 * Looks at an `undo` that may not be sent now.
 *
 * @returns undefined when there is nothing to take back, as from a claim
 * @throws FencedError as a claim does
 */
export async function findHeldUndo(
  pool: pg.Pool,
  { effect }: { readonly effect: EffectId },
): Promise<Found | undefined> {
  return withTransaction(pool, async (tx) => {
    const known = await findMessage(tx, effect);
    if (known?.status === 'sent') return known;
    await assertOpen(tx, effect);
    if (known) return isAwaited(known) ? known : 'held';
    return (await mayBeApplied(tx, { ...effect, action: 'do' })) ? 'held' : undefined;
  });
}

async function findMessage(tx: Transaction, effect: EffectId): Promise<LoggedMessage | undefined> {
  const { rows } = await tx.query<LoggedMessage>({
    name: 'find-message',
    text: `select ${MESSAGE_COLUMNS} from settle.message_log where effect_key = $1`,
    values: [effectKey(effect)],
  });
  return rows[0];
}

function isAwaited(message: LoggedMessage | undefined): message is LoggedMessage {
  return message !== undefined && message.awaitedMs > 0;
}

async function mayBeApplied(tx: Transaction, effect: EffectId): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: 'find-applied',
    text: `select from settle.message_log where effect_key = $1 and ${MAYBE_APPLIED}`,
    values: [effectKey(effect)],
  });
  return rowCount === 1;
}
