-- Up Migration
-- What the ledger scan has found so far, for all workers together: one row for each kind of thing that it looks at.
create table settle.scan_count (
  kind     text primary key,
  -- looked at; had no workflow and got one; could not be helped at the time
  due      bigint not null default 0,
  started  bigint not null default 0,
  failed   bigint not null default 0,
  -- of the last round that is counted here
  round_at timestamptz not null default clock_timestamp(),
  txid     xid8 not null default pg_current_xact_id()
) with (fillfactor = 50);
