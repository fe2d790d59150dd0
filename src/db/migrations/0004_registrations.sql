-- Up Migration
-- The users of the sample: what the local transaction of `register-user` writes.
create schema people;

create table people.registration (
  user_id       text primary key,
  saga_id       text not null unique,
  tenant_id     text not null,
  user_name     text not null,
  email         text not null,
  status        text not null check (status in ('registered', 'removed')),
  registered_at timestamptz not null default clock_timestamp(),
  txid          xid8 not null default pg_current_xact_id()
);
-- a name belongs to one user of a tenant, however it is written; who was removed no longer has it
create unique index user_name_once on people.registration (tenant_id, lower(user_name)) where status <> 'removed';
