import type { ParticipantSchema } from '../participant/index.js';

/** How many rows share the merchant's takings, what is held, and the welcome fund: one row would make every payment wait for every other. */
export const SHARDS = 16;

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
    {
      // holding: what is set aside for payments; fund: where welcome credits come from, overdrawn by as much as was given
      name: '0002_reservations',
      sql: `
alter table accounts.account drop constraint account_kind_check;
alter table accounts.account add constraint account_kind_check check (kind in ('customer', 'merchant', 'holding', 'fund'));
-- a closed account takes part in nothing new; what it took part in can still be undone
alter table accounts.account add column closed_at timestamptz;
-- the effect that opened it, where one did: its undo closes it again
alter table accounts.account add column opened_by text;

-- one row per applied reservation; its key is the effect key of the do
create table accounts.reservation (
  effect_key text primary key,
  saga_id    text not null,
  account_id text not null references accounts.account (id),
  holding_id text not null references accounts.account (id),
  currency   text not null,
  amount     bigint not null check (amount > 0),
  status     text not null check (status in ('held', 'captured', 'released')),
  txid       xid8 not null default pg_current_xact_id()
);`,
    },
  ],
};

/** Opening balances of the demonstration; rows that are there already stay as they are. */
export const ACCOUNTS_SEED = `
insert into accounts.account (id, kind, currency, opening, balance, allow_negative, closed_at)
select 'c-' || n, 'customer', 'EUR', 100000000, 100000000, false, null::timestamptz from generate_series(1, 1000) as n
union all select 'c-poor', 'customer', 'EUR', 0, 0, false, null
union all select 'c-closed', 'customer', 'EUR', 1000000, 1000000, false, clock_timestamp()
union all select kind || '-' || lpad(n::text, 2, '0'), kind, 'EUR', 0, 0, kind = 'fund', null
            from generate_series(0, ${SHARDS - 1}) as n, unnest(array['merchant', 'holding', 'fund']) as kind
on conflict (id) do nothing`;
