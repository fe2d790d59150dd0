import type pg from 'pg';

/** E: where a service's journal is fed from. */
interface Source {
  readonly table: string;
  /** SQL over `new` (and `old`, where the table is updated). */
  readonly subject: string;
  readonly amount: string;
  readonly step: string;
  readonly action: string;
  readonly trigger: string;
  /** Unique constraints of the samples that would hide a broken inbox; they go, so that the inbox alone must hold. */
  readonly drop: readonly string[];
}

const SOURCES = {
  orders: {
    table: 'shop.orders',
    subject: 'new.order_id',
    amount: '1',
    step: "'order'",
    action: "case when tg_op = 'INSERT' then 'do' else 'undo' end",
    trigger: 'after insert or update',
    drop: [],
  },
  inventory: {
    table: 'inventory.movement',
    subject: 'new.sku',
    amount: 'new.quantity',
    step: 'new.step',
    action: 'new.action',
    trigger: 'after insert',
    drop: ['alter table inventory.movement drop constraint if exists movement_once'],
  },
  accounts: {
    table: 'accounts.entry',
    subject: 'new.account_id',
    amount: 'new.amount',
    step: 'new.step',
    action: 'new.action',
    trigger: 'after insert',
    drop: ['alter table accounts.entry drop constraint if exists entry_once'],
  },
} as const satisfies Record<string, Source>;

/** The services that have a journal. */
export type JournaledService = keyof typeof SOURCES;

/**
 * Installs a journal that the system under test does not write: a trigger of the test notes every business row, in the
 * transaction that writes it.
 */
export async function installJournal(pool: pg.Pool, service: JournaledService): Promise<void> {
  const { table, subject, amount, step, action, trigger, drop } = SOURCES[service];
  await pool.query(`
    create schema journal;
    create table journal.effect (
      position bigserial primary key, at timestamptz not null default clock_timestamp(),
      saga_id text not null, step text not null, action text not null, subject text not null, amount bigint not null,
      txid xid8 not null default pg_current_xact_id());
    create function journal.note() returns trigger language plpgsql as $$
    begin
      insert into journal.effect (saga_id, step, action, subject, amount)
      values (new.saga_id, ${step}, ${action}, ${subject}, ${amount});
      return null;
    end $$;
    create trigger note_effect ${trigger} on ${table} for each row execute function journal.note();
    ${drop.join(';\n')}`);
}
