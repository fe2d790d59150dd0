import type pg from 'pg';
import { FencedError, type Reason } from '../saga/errors.js';
import { isTerminal, type SagaOutcome, type SagaState } from '../saga/state.js';
import { effectsOf } from './effects-of.js';
import type { Transaction } from './pool.js';

/**
 * Ends a saga, once: a repetition finds it ended and changes nothing.
 * Messages of a compensated saga that never had an answer are withdrawn: their undo has made them impossible.
 *
 * @throws FencedError when it is to complete but has decided to compensate, or has settled the other way: a workflow that is
 *   started anew after Temporal's loss finds every stored answer and would take the saga for done
 */
export async function settleSaga(
  pool: Pick<pg.Pool, 'query'> | Transaction,
  { sagaId, outcome, reason }: { sagaId: string; outcome: SagaOutcome; reason?: Reason },
): Promise<void> {
  const settled = await pool.query({
    name: 'settle-saga',
    text: `with settled as (
             update settle.saga
                set state = $2, reason = coalesce(reason, $3), park_reason = null, parked = '{}', due_at = null,
                    updated_at = clock_timestamp(), finished_at = clock_timestamp()
              where id = $1 and finished_at is null and ($2 = 'compensated' or (reason is null and ${MAY_COMPLETE} and ${PARENT_HAS_COMPLETED}))
              returning id),
           withdrawn as (
             update settle.message_log m set status = 'withdrawn', finished_at = clock_timestamp()
               from settled where $2 = 'compensated' and ${effectsOf('$1')} and m.status in ('pending', 'dead'))
           select from settled`,
    values: [sagaId, outcome, reason ? JSON.stringify(reason) : null],
  });
  if (settled.rowCount === 1) return;
  // a statement of its own: the one above may have waited for another settle, and does not see what that has written
  const { rows } = await pool.query<{ state: SagaState; reason: Reason | null }>(
    'select state, coalesce(reason, cancel_reason) as reason from settle.saga where id = $1',
    [sagaId],
  );
  const saga = rows[0];
  if (!saga || saga.state === outcome) return;
  const standing = saga.reason ?? { code: saga.state, message: `the saga is '${saga.state}' already` };
  throw new FencedError(`${sagaId}/settle`, standing, isTerminal(saga.state) ? saga.state : undefined);
}

/** A cancel that was accepted before the end holds, unless the plan has a step that cannot be taken back. */
export const MAY_COMPLETE = `(cancel_reason is null or jsonb_path_exists(plan, '$.items.**.kind ? (@ != "compensatable")'))`;

/** A saga that is a step of another completes with that one. */
const PARENT_HAS_COMPLETED = `(parent_id is null or exists (
  select from settle.saga p where p.id = saga.parent_id and p.state = 'completed'))`;

/** Ends a saga as a person says it ended, parked or not. Messages without an answer are withdrawn: nobody sends them any more. */
export async function resolveSaga(
  tx: Transaction,
  { sagaId, outcome, reason }: { sagaId: string; outcome: SagaOutcome; reason: Reason },
): Promise<void> {
  await tx.query(
    `update settle.saga
        set state = $2, reason = $3, park_reason = null, parked = '{}', due_at = null,
            updated_at = clock_timestamp(), finished_at = clock_timestamp()
      where id = $1 and finished_at is null`,
    [sagaId, outcome, JSON.stringify(reason)],
  );
  await tx.query(
    `update settle.message_log set status = 'withdrawn', finished_at = clock_timestamp()
      where ${effectsOf('$1')} and status in ('pending', 'dead')`,
    [sagaId],
  );
}
