-- Up Migration
-- The business tables of the sample: what the producer's own local transaction writes.
create schema shop;

create table shop.customer (
  id       text primary key,
  currency text not null
);

create table shop.orders (
  order_id    text primary key,
  saga_id     text not null unique,
  tenant_id   text not null,
  customer_id text not null references shop.customer (id),
  currency    text not null,
  total       bigint not null check (total > 0),
  items       jsonb not null,
  status      text not null check (status in ('placed', 'cancelled')),
  placed_at   timestamptz not null default clock_timestamp(),
  txid        xid8 not null default pg_current_xact_id()
);
