import type pg from 'pg';
import type { PlaceOrder } from '../messages/orders.js';
import type { Reason } from '../saga/errors.js';
import type { SagaState } from '../saga/state.js';

/** An order: what was asked for, and the row that the local transaction wrote, where it has. */
export interface OrderRecord {
  readonly sagaId: string;
  readonly input: PlaceOrder;
  readonly sagaState: SagaState;
  readonly sagaReason: Reason | null;
  /** Null before the local transaction, and for ever when it refused. */
  readonly status: 'placed' | 'cancelled' | null;
  /** In minor units; null where `status` is. */
  readonly total: number | null;
  readonly placedAt: Date | null;
}

/** One order of a tenant, found by its saga's business key, or undefined. */
export async function findOrder(
  pool: pg.Pool,
  { tenantId, sagaTypes, orderId }: { tenantId: string; sagaTypes: readonly string[]; orderId: string },
): Promise<OrderRecord | undefined> {
  const { rows } = await pool.query<OrderRecord>({
    name: 'find-order',
    text: `select s.id as "sagaId", s.input, s.state as "sagaState", s.reason as "sagaReason",
                  o.status, o.total, o.placed_at as "placedAt"
             from settle.saga s left join shop.orders o on o.saga_id = s.id
            where s.tenant_id = $1 and s.business_key = $2 and s.type = any($3)`,
    values: [tenantId, orderId, sagaTypes],
  });
  return rows[0];
}
