-- Up Migration
-- The invoices of the sample and what was paid on them: what the local transactions of `pay-invoice` write.
create schema billing;

create table billing.invoice (
  id       text primary key,
  currency text not null,
  amount   bigint not null check (amount > 0),
  status   text not null default 'open' check (status in ('open', 'paid')),
  paid_at  timestamptz,
  constraint invoice_paid check ((status = 'paid') = (paid_at is not null))
);

create table billing.payment (
  payment_id text primary key,
  saga_id    text not null unique,
  tenant_id  text not null,
  invoice_id text not null references billing.invoice (id),
  account_id text not null,
  currency   text not null,
  amount     bigint not null check (amount > 0),
  status     text not null check (status in ('opened', 'paid', 'refunded')),
  opened_at  timestamptz not null default clock_timestamp(),
  txid       xid8 not null default pg_current_xact_id()
);
-- an invoice is paid once, and two payments of it are never under way at the same time
create unique index payment_once on billing.payment (invoice_id) where status <> 'refunded';
