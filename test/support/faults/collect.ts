import type pg from 'pg';
import type { BookRow, Effect, InboxRow, LedgerRows, OrderRow, SagaRow } from './evidence.js';
import type { JournaledService } from './participant-journal.js';

/** The three databases of a run. */
export interface Databases {
  readonly settle: pg.Pool;
  readonly inventory: pg.Pool;
  readonly accounts: pg.Pool;
}

const MS = (column: string): string => `(extract(epoch from ${column}) * 1000)::float8`;

/** The ledger, in the checker's words. */
export async function collectLedger(pool: pg.Pool): Promise<LedgerRows> {
  const rows = async <T extends pg.QueryResultRow>(sql: string): Promise<T[]> => (await pool.query<T>(sql)).rows;
  return {
    sagas: await rows<SagaRow & pg.QueryResultRow>(`
      select id, tenant_id as "tenantId", idempotency_key as key, business_key as "businessKey", state, reason, input, leased_until is not null as "isExpress",
             (select jsonb_agg(case when item ? 'parallel' then item -> 'parallel' else jsonb_build_array(item) end order by position)
                from jsonb_array_elements(plan -> 'items') with ordinality as items (item, position)) as plan
        from settle.saga order by id`),
    events: await rows(
      `select id, saga_id as "sagaId", state, ${MS('at')} as at from settle.saga_event order by saga_id, id`,
    ),
    stepEffects: await rows(
      `select saga_id as "sagaId", step, action, status, ${MS('applied_at')} as at, txid::text from settle.step_effect`,
    ),
    messages: await rows(`
      select saga_id as "sagaId", step, action, status, attempts, ${MS('first_sent_at')} as "firstSentAt", txid::text
        from settle.message_log`),
    orders: await rows<OrderRow & pg.QueryResultRow>(
      `select order_id as "orderId", saga_id as "sagaId", status, total::float8 as total, txid::text from shop.orders`,
    ),
  };
}

/** E of one service. */
export async function collectEffects(pool: pg.Pool, service: JournaledService): Promise<Effect[]> {
  const { rows } = await pool.query<Effect>(
    `select $1 as service, position::int, ${MS('at')} as at, saga_id as "sagaId", step, action, subject,
            amount::float8 as amount, txid::text
       from journal.effect order by position`,
    [service],
  );
  return rows;
}

/** A participant's inbox. */
export async function collectInbox(pool: pg.Pool, service: 'inventory' | 'accounts'): Promise<InboxRow[]> {
  const { rows } = await pool.query<InboxRow>(
    `select $1 as service, saga_id as "sagaId", step, action, status, ${MS('applied_at')} as at, message_id as "messageId", txid::text
       from ${service}.inbox`,
    [service],
  );
  return rows;
}

const BOOKS = {
  accounts: `select 'accounts' as service, id as subject, opening::float8, balance::float8 as actual,
                    (select coalesce(sum(amount), 0) from journal.effect where subject = account.id)::float8 as moved
               from accounts.account`,
  inventory: `select 'inventory' as service, sku as subject, opening::float8, on_hand::float8 as actual,
                     (select coalesce(sum(amount), 0) from journal.effect where subject = stock.sku)::float8 as moved
                from inventory.stock`,
} as const;

/** Balances or stock beside what the journal says they should be, in one snapshot. */
export async function collectBooks(pool: pg.Pool, service: keyof typeof BOOKS): Promise<BookRow[]> {
  const { rows } = await pool.query<BookRow>(
    `select * from (${BOOKS[service]}) as books where moved <> 0 or opening <> actual`,
  );
  return rows;
}
