import type { MessageAction } from '../saga/operator.js';
import type { OperatorRequest, Subject } from './operator-subject.js';
import { messageItem } from './parked-items.js';
import { lockMessage } from './parked-messages.js';
import type { Transaction } from './pool.js';

/** Locks a half message for an operator's action; undefined when the tenant has none of this id. */
export async function openHalfMessage(
  tx: Transaction,
  { tenantId, subjectId: id }: Pick<OperatorRequest, 'tenantId' | 'subjectId'>,
): Promise<Subject | undefined> {
  const message = await lockMessage(tx, { tenantId, id });
  return (
    message && {
      ...{ state: message.state, reason: message.parked?.parkReason ?? null },
      items: message.parked ? [messageItem('half-message', message.parked)] : [],
      snapshot: () => snapshot(tx, id),
      change: (request) => change(tx, request),
    }
  );
}

/** A participant that has refused it asks anew under a higher revision; not one that holds its effect under another payload. */
const RAISED = `revision + case when park_reason ->> 'code' = 'effect-key-reused' then 0 else 1 end`;
/** As if nothing had been tried: the scan looks soon, in case its workflow cannot be told. */
const REOPENED = `scans = 0, due_at = clock_timestamp() + interval '3 seconds'`;
const ENDED = `finished_at = clock_timestamp(), due_at = null`;
const DECIDED = `decided_by = 'operator', decided_at = clock_timestamp()`;

/** What each action sets; `$2` is what came with it, where something does. */
const CHANGES: Readonly<Record<MessageAction, (hasVerdict: boolean) => string>> = {
  retry: () => `state = 'prepared', turn_at = null, ${REOPENED}`,
  confirm: () => `state = 'confirmed', verdict = 'committed', ${DECIDED}, ${REOPENED}`,
  resend: () => `state = 'confirmed', revision = ${RAISED}, ${REOPENED}`,
  edit: () => `state = 'confirmed', revision = revision + 1, payload = $2, ${REOPENED}`,
  skip: () => `state = 'delivered', result = $2, last_error = null, ${ENDED}`,
  discard: (hasVerdict) =>
    hasVerdict
      ? `state = 'discarded', ${ENDED}`
      : `state = 'rolled-back', verdict = 'rolled-back', ${DECIDED}, ${ENDED}`,
};

async function change(tx: Transaction, request: OperatorRequest): Promise<void> {
  const { subjectId, action, payload, result } = request;
  const { rows } = await tx.query<{ hasVerdict: boolean }>(
    'select verdict is not null as "hasVerdict" from settle.half_message where id = $1',
    [subjectId],
  );
  const sets = CHANGES[action as MessageAction](rows[0]!.hasVerdict);
  const given = action === 'edit' ? payload : result;
  await tx.query(
    `update settle.half_message set ${sets}, park_reason = null, updated_at = clock_timestamp()
      where id = $1 and state = 'parked'`,
    sets.includes('$2') ? [subjectId, JSON.stringify(given ?? null)] : [subjectId],
  );
  // its participant need not remember what the new revision may repeat
  if (request.mayRepeat)
    await tx.query('update settle.half_message set may_repeat = revision where id = $1', [subjectId]);
}

async function snapshot(tx: Transaction, id: string): Promise<string> {
  const { rows } = await tx.query<{ snapshot: string }>(
    `select (to_jsonb(m) - array['id', 'tenant_id', 'idempotency_key', 'request_hash', 'plan', 'txid'])::text as snapshot
       from settle.half_message m where id = $1`,
    [id],
  );
  return rows[0]!.snapshot;
}
