-- Up Migration
-- Repairs: one action on many parked items, previewed, confirmed, then run at a limited rate.
create table settle.repair (
  id           text primary key,
  tenant_id    text not null,
  actor        text not null,
  reason       text not null,
  -- which items were meant, and what is done about each
  query        jsonb not null,
  action       text not null,
  arguments    jsonb not null,
  per_second   int not null check (per_second > 0),
  -- of the preview: what is confirmed is what was seen
  etag         text not null,
  state        text not null default 'previewed' check (state in ('previewed', 'running', 'done', 'cancelled')),
  created_at   timestamptz not null default clock_timestamp(),
  confirmed_at timestamptz,
  finished_at  timestamptz,
  -- when the scan looks at it again; null unless it runs
  due_at       timestamptz,
  scans        int not null default 0,
  txid         xid8 not null default pg_current_xact_id(),
  constraint repair_due check ((due_at is not null) = (state = 'running')),
  constraint repair_finished check ((finished_at is not null) = (state in ('done', 'cancelled')))
);
create index repair_due on settle.repair (due_at) where due_at is not null;

create table settle.repair_item (
  repair_id  text not null references settle.repair (id) on delete cascade,
  position   int not null,
  kind       text not null,
  subject_id text not null,
  step       text not null,
  effect_key text not null,
  -- the item as it was previewed: one that has changed is left alone
  version    text not null,
  may_repeat boolean not null,
  status     text not null check (status in ('planned', 'refused', 'done', 'skipped')),
  reason     jsonb,
  -- of the saga or message, right after the action
  state      text,
  at         timestamptz,
  txid       xid8 not null default pg_current_xact_id(),
  primary key (repair_id, position)
);
create index repair_item_planned on settle.repair_item (repair_id, position) where status = 'planned';
