import { effectKey, type EffectId } from '../saga/ids.js';
import type { PlanStep } from '../saga/plan.js';
import { effectsOf } from './effects-of.js';
import type { Transaction } from './pool.js';

/**
 * Lets an effect be tried again. A refusal that the participant keeps is asked anew under a higher revision;
 * one that says that it holds this effect under another payload is not, or that other one would pass for ours.
 */
export async function reopenEffect(tx: Transaction, effect: EffectId): Promise<void> {
  await tx.query(
    `update settle.message_log m
        set status = 'pending', reason = null, finished_at = null, revision = m.revision + raised.by,
            message_id = case when raised.by = 0 then m.message_id else gen_random_uuid() end
       from (select (status = 'rejected' or status = 'dead' and reason ->> 'code' <> 'effect-key-reused')::int as by
               from settle.message_log where effect_key = $1) as raised
      where effect_key = $1 and status in ('pending', 'rejected', 'dead')`,
    [effectKey(effect)],
  );
  await tx.query(`delete from settle.step_effect where effect_key = $1 and status = 'rejected'`, [effectKey(effect)]);
}

/**
 * Notes that an operator has confirmed that a message may repeat its effect: its participant need not remember it any more.
 * For the revision that stands, so after {@link reopenEffect} or {@link editMessage}.
 */
export async function permitRepeat(tx: Transaction, effect: EffectId): Promise<void> {
  await tx.query('update settle.message_log set may_repeat = revision where effect_key = $1', [effectKey(effect)]);
}

/** The same for what a saga has done: its undos go to participants that may have forgotten it, and each takes the word over. */
export async function permitUndos(tx: Transaction, sagaId: string): Promise<void> {
  await tx.query(`update settle.message_log set may_repeat = revision where ${effectsOf('$1')} and action = 'do'`, [
    sagaId,
  ]);
}

/** Another payload under the same effect key: a later answer to the old revision no longer counts. */
export async function editMessage(tx: Transaction, effect: EffectId, payload: unknown): Promise<void> {
  await tx.query(
    `update settle.message_log
        set payload = $2, revision = revision + 1, message_id = gen_random_uuid(), status = 'pending',
            reason = null, last_error = null, finished_at = null
      where effect_key = $1 and status in ('pending', 'rejected', 'dead')`,
    [effectKey(effect), JSON.stringify(payload)],
  );
}

/** Records what an operator vouches for, as if the participant had answered it: the workflow finds it and goes on. */
export async function attestEffect(
  tx: Transaction,
  effect: EffectId,
  { type, action, result }: Pick<PlanStep, 'type' | 'action'> & { readonly result: unknown },
): Promise<void> {
  const key = effectKey(effect);
  const value = JSON.stringify(result ?? null);
  if (type === 'wait') return attestEvent(tx, effect, { event: action, value });
  if (type === 'local') {
    await tx.query(
      `insert into settle.step_effect (effect_key, saga_id, step, action, status, result) values ($1, $2, $3, $4, 'applied', $5)
       on conflict (effect_key) do update set status = 'applied', result = excluded.result, reason = null`,
      [key, effect.sagaId, effect.step, effect.action, value],
    );
    return;
  }
  // counted as attempted, or a later compensation would find nothing to take back
  await tx.query(
    `update settle.message_log
        set status = 'sent', result = $2, reason = null, last_error = null, attempts = greatest(attempts, 1),
            first_sent_at = coalesce(first_sent_at, clock_timestamp()), finished_at = clock_timestamp()
      where effect_key = $1 and status in ('pending', 'rejected', 'dead')`,
    [key, value],
  );
}

/** A person vouches for what the event would have said. */
async function attestEvent(
  tx: Transaction,
  { sagaId, step }: EffectId,
  { event, value }: { event: string; value: string },
): Promise<void> {
  await tx.query(
    `insert into settle.awaited_event (saga_id, step, event, status, body, body_hash, received_at)
     values ($1, $2, $3, 'received', $4, '', clock_timestamp())
     on conflict (saga_id, step) do update
        set status = 'received', body = excluded.body, body_hash = '', received_at = excluded.received_at
      where awaited_event.status <> 'received'`,
    [sagaId, step, event, value],
  );
}
