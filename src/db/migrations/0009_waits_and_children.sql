-- Up Migration
-- Sagas that wait for events, and sagas that are a step of another.

-- What a saga's `wait` steps wait for, and what has come: one row a step, written by whichever is first, the saga or the event.
create table settle.awaited_event (
  saga_id       text not null,
  step          text not null,
  event         text not null,
  status        text not null check (status in ('awaited', 'received', 'timed-out')),
  -- when the saga came to the step; null while the event is early, and after a timeout that parked
  waiting_since timestamptz,
  body          jsonb,
  -- SHA-256 of what was sent, so that another body can be told apart
  body_hash     text,
  received_at   timestamptz,
  -- when the saga's workflow learnt of it; until then the scan tells it
  taken_at      timestamptz,
  txid          xid8 not null default pg_current_xact_id(),
  primary key (saga_id, step),
  constraint awaited_event_received check ((status = 'received') = (received_at is not null))
);

select settle.partition_by_week('awaited_event', 'saga_id');

-- A child is done, and held until its parent has settled: only the parent's word counts from then on.
do $$
declare
  name text;
begin
  for name in select conname from pg_constraint
               where conrelid = 'settle.saga'::regclass and contype = 'c'
                 and pg_get_constraintdef(oid) like '%''compensating''%' loop
    execute format('alter table settle.saga drop constraint %I', name);
  end loop;
end $$;
alter table settle.saga
  add constraint saga_states
    check (state in ('accepted', 'running', 'held', 'completed', 'compensating', 'compensated', 'parked')),
  -- its children are found by their ids, which bear the time of its own
  add column parent_id text collate "C",
  add column parent_step text,
  -- what it has told its parent, and when
  add column output jsonb,
  add column held_at timestamptz,
  add constraint saga_parent check ((parent_id is null) = (parent_step is null));
