import type { ParticipantSchema } from '../participant/index.js';

/** How many rows share the merchant's takings: one row would make every payment wait for every other. */
export const MERCHANT_SHARDS = 16;

/**
 * The database of the accounts service: double entry in minor units. Each effect's entries sum to 0,
 * and their `txid` equals that of the effect's inbox row.
 */
export const accountsSchema: ParticipantSchema = {
  schema: 'accounts',
  migrations: [
    {
      name: '0001_accounts',
      sql: `
create table accounts.account (
  id             text primary key,
  kind           text not null check (kind in ('customer', 'merchant')),
  currency       text not null,
  opening        bigint not null,
  balance        bigint not null,
  allow_negative boolean not null default false,
  constraint account_covered check (allow_negative or balance >= 0)
);

create table accounts.entry (
  id         bigint generated always as identity primary key,
  effect_key text not null,
  account_id text not null references accounts.account (id),
  amount     bigint not null check (amount <> 0),
  saga_id    text not null,
  step       text not null,
  action     text not null check (action in ('do', 'undo')),
  at         timestamptz not null default clock_timestamp(),
  txid       xid8 not null default pg_current_xact_id(),
  constraint entry_once unique (effect_key, account_id)
);
create index entry_by_account on accounts.entry (account_id);`,
    },
  ],
};

/** Opening balances of the demonstration; rows that are there already stay as they are. */
export const ACCOUNTS_SEED = `
insert into accounts.account (id, kind, currency, opening, balance)
select 'c-' || n, 'customer', 'EUR', 100000000, 100000000 from generate_series(1, 1000) as n
union all select 'c-poor', 'customer', 'EUR', 0, 0
union all select 'merchant-' || lpad(n::text, 2, '0'), 'merchant', 'EUR', 0, 0
            from generate_series(0, ${MERCHANT_SHARDS - 1}) as n
on conflict (id) do nothing`;
