import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { isTerminal, type SagaState } from '../saga/state.js';
import { START_GRACE } from './saga-store.js';

/**
 * Records that a saga is to be cancelled; the record outlives Temporal, the signal that follows it need not.
 *
 * @returns `settled` when it is too late, `held` when only the saga that it is a step of can take it back, `unknown` when the
 *   tenant has no such saga
 */
export async function requestCancel(
  pool: pg.Pool,
  { tenantId, sagaId, reason }: { tenantId: string; sagaId: string; reason: Reason },
): Promise<'requested' | 'settled' | 'held' | 'unknown'> {
  const { rows } = await pool.query<{ state: SagaState; isHeld: boolean }>(
    `update settle.saga
        set cancel_reason = case when finished_at is null and held_at is null then coalesce(cancel_reason, $3) else cancel_reason end,
            scans = 0,
            -- until its lease ends its process tells no workflow, and none may be started beside it
            due_at = case when finished_at is null then greatest(leased_until, clock_timestamp() + interval '${START_GRACE}') end
      where id = $1 and tenant_id = $2
      returning state, held_at is not null as "isHeld"`,
    [sagaId, tenantId, JSON.stringify(reason)],
  );
  if (!rows[0]) return 'unknown';
  if (isTerminal(rows[0].state)) return 'settled';
  return rows[0].isHeld ? 'held' : 'requested';
}
