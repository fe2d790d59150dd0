-- Up Migration
-- The producer's ledger. Every table carries the id of the transaction that wrote the row, so that "same transaction" is a query.
create schema settle;

create table settle.saga (
  id              text primary key,
  tenant_id       text not null,
  idempotency_key text not null,
  request_hash    text not null,
  type            text not null,
  business_key    text not null,
  plan            jsonb not null,
  input           jsonb not null,
  state           text not null default 'accepted'
                  check (state in ('accepted', 'running', 'completed', 'compensating', 'compensated', 'parked')),
  -- why it compensates; null while it goes forward
  reason          jsonb,
  -- why it is parked; null unless it is
  park_reason     jsonb,
  cancel_reason   jsonb,
  accepted_at     timestamptz not null default clock_timestamp(),
  updated_at      timestamptz not null default clock_timestamp(),
  finished_at     timestamptz,
  -- when the scan looks at it again; null once it is terminal
  due_at          timestamptz,
  scans           int not null default 0,
  txid            xid8 not null default pg_current_xact_id(),
  constraint saga_idempotency unique (tenant_id, idempotency_key),
  constraint saga_finished check ((finished_at is not null) = (state in ('completed', 'compensated')))
);
create index saga_due on settle.saga (due_at) where due_at is not null;
create index saga_waiting on settle.saga (accepted_at) where state = 'accepted';
create index saga_list on settle.saga (tenant_id, id desc);
create index saga_open on settle.saga (tenant_id, state, id desc) where finished_at is null;
create index saga_by_business_key on settle.saga (tenant_id, business_key);

-- The guard and the record of local steps: one row per effect, written in the transaction of the business row.
create table settle.step_effect (
  effect_key  text primary key,
  saga_id     text not null references settle.saga (id),
  step        text not null,
  action      text not null check (action in ('do', 'undo')),
  status      text not null check (status in ('applied', 'rejected', 'tombstone', 'nothing-to-undo')),
  result      jsonb,
  reason      jsonb,
  -- raised by an operator's retry, so that it runs again over a rejection
  revision    int not null default 0,
  applied_at  timestamptz not null default clock_timestamp(),
  txid        xid8 not null default pg_current_xact_id()
);
create index step_effect_by_saga on settle.step_effect (saga_id);

-- What is owed to participants: written with the business row, or by the first attempt where the payload was not known before.
create table settle.message_log (
  id           bigint generated always as identity primary key,
  effect_key   text not null unique,
  message_id   uuid not null default gen_random_uuid(),
  saga_id      text not null references settle.saga (id),
  tenant_id    text not null,
  step         text not null,
  action       text not null check (action in ('do', 'undo')),
  type         text not null,
  payload      jsonb not null,
  revision     int not null default 0,
  status       text not null default 'pending' check (status in ('pending', 'sent', 'rejected', 'dead', 'withdrawn')),
  attempts     int not null default 0,
  result       jsonb,
  reason       jsonb,
  last_error   text,
  created_at   timestamptz not null default clock_timestamp(),
  first_sent_at timestamptz,
  finished_at  timestamptz,
  txid         xid8 not null default pg_current_xact_id()
);
create index message_log_by_saga on settle.message_log (saga_id);
create index message_log_pending on settle.message_log (created_at) where status = 'pending';

-- Each change of a saga's state, in order: what the event stream reads and what proves that no state was left silently.
create table settle.saga_event (
  id        bigint generated always as identity primary key,
  saga_id   text not null references settle.saga (id),
  state     text not null,
  reason    jsonb,
  at        timestamptz not null default clock_timestamp(),
  txid      xid8 not null default pg_current_xact_id()
);
create index saga_event_by_saga on settle.saga_event (saga_id, id);

create table settle.operator_action (
  id          text primary key,
  saga_id     text not null references settle.saga (id),
  action      text not null,
  actor       text not null,
  reason      text not null,
  before      jsonb not null,
  after       jsonb not null,
  at          timestamptz not null default clock_timestamp(),
  txid        xid8 not null default pg_current_xact_id()
);

create function settle.record_state() returns trigger language plpgsql as $$
begin
  insert into settle.saga_event (saga_id, state, reason) values (new.id, new.state, new.reason);
  return new;
end $$;
create trigger saga_state_inserted after insert on settle.saga
  for each row execute function settle.record_state();
create trigger saga_state_changed after update on settle.saga
  for each row when (old.state is distinct from new.state) execute function settle.record_state();

-- A terminal state is set once, whoever tries otherwise.
create function settle.keep_outcome() returns trigger language plpgsql as $$
begin
  raise exception 'saga % has already settled as %', old.id, old.state using errcode = 'check_violation';
end $$;
create trigger saga_outcome_final before update on settle.saga
  for each row when (old.state in ('completed', 'compensated') and old.state is distinct from new.state)
  execute function settle.keep_outcome();
