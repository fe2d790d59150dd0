-- Up Migration
-- Answers that come by themselves, over a broker.

-- What the tokens are made with that go out with messages: whoever answers without one was not asked. Made once, for all workers.
create table settle.reply_secret (
  is_only boolean primary key default true check (is_only),
  -- 244 random bits
  secret  bytea not null default uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()),
  txid    xid8 not null default pg_current_xact_id()
);
insert into settle.reply_secret default values;

-- What has become of the answers that came, for all workers together.
create table settle.reply_count (
  transport text not null,
  verdict   text not null,
  count     bigint not null default 0,
  txid      xid8 not null default pg_current_xact_id(),
  primary key (transport, verdict)
) with (fillfactor = 50);

-- Until then the answer to this revision is waited for: nobody need send it again sooner. The activity that waits for it, where
-- no process does.
alter table settle.message_log
  add column awaited_until timestamptz,
  add column awaited_revision int,
  add column awaiting_workflow text,
  add column awaiting_activity text;
alter table settle.half_message
  add column awaited_until timestamptz,
  add column awaited_revision int,
  add column awaiting_workflow text,
  add column awaiting_activity text;
