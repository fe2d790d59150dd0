import { messageEffectKey } from '../saga/ids.js';
import { lockOutboxMessage } from './dead-messages.js';
import type { OperatorRequest, Subject } from './operator-subject.js';
import { OUTBOX_CHANNEL, recordOutbox } from './outbox.js';
import { resendOutboxMessage } from './outbox-queries.js';
import { messageItem } from './parked-items.js';
import type { Transaction } from './pool.js';

/** Locks an outbox message for an operator's action; undefined when the tenant has none of this id. */
export async function openOutboxMessage(
  tx: Transaction,
  { tenantId, subjectId }: Pick<OperatorRequest, 'tenantId' | 'subjectId'>,
): Promise<Subject | undefined> {
  const message = await lockOutboxMessage(tx, { tenantId, id: subjectId });
  return (
    message && {
      ...{ state: message.status, reason: message.dead?.parkReason ?? null },
      items: message.dead ? [messageItem('outbox-message', message.dead)] : [],
      // the relay finds what is due by itself
      isHeard: true,
      snapshot: () => snapshot(tx, subjectId),
      change: (request) => change(tx, request),
    }
  );
}

async function change(
  tx: Transaction,
  { subjectId, action, payload, result, mayRepeat }: OperatorRequest,
): Promise<void> {
  const key = messageEffectKey(subjectId);
  switch (action) {
    case 'skip':
      await recordOutbox(tx, [{ effectKey: key, attempt: 0, move: { to: 'delivered', result } }]);
      break;
    case 'discard':
      // what waited behind it finds itself first when it looks next
      await tx.query(`update settle.message_log set status = 'withdrawn' where effect_key = $1 and status = 'dead'`, [
        key,
      ]);
      break;
    default:
      if (action === 'edit')
        await tx.query('update settle.message_log set payload = $2 where effect_key = $1', [
          key,
          JSON.stringify(payload),
        ]);
      await resendOutboxMessage(tx, subjectId);
      if (mayRepeat) await tx.query('update settle.message_log set may_repeat = revision where effect_key = $1', [key]);
  }
  await tx.query(`select pg_notify('${OUTBOX_CHANNEL}', '')`);
}

async function snapshot(tx: Transaction, id: string): Promise<string> {
  const { rows } = await tx.query<{ snapshot: string }>(
    `select (to_jsonb(m) - array['id', 'saga_id', 'step', 'tenant_id', 'txid'] || jsonb_build_object('state', status))::text as snapshot
       from settle.message_log m where effect_key = $1`,
    [messageEffectKey(id)],
  );
  return rows[0]!.snapshot;
}
