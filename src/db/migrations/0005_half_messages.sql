-- Up Migration
-- Messages that are stored before their producer knows whether its transaction will commit, and delivered only if it did.
create table settle.half_message (
  id              text primary key,
  tenant_id       text not null,
  idempotency_key text not null,
  request_hash    text not null,
  type            text not null,
  payload         jsonb not null,
  check_back_url  text not null,
  -- when to check back, pinned when it was prepared
  plan            jsonb not null,
  state           text not null default 'prepared'
                  check (state in ('prepared', 'confirmed', 'delivered', 'rolled-back', 'parked')),
  verdict         text check (verdict in ('committed', 'rolled-back')),
  decided_by      text check (decided_by in ('producer', 'check-back')),
  decided_at      timestamptz,
  -- check-backs that were answered, and that were not: only the former count
  checks          int not null default 0,
  silences        int not null default 0,
  -- when its turn is to be asked after, while it waits for one
  turn_at         timestamptz,
  revision        int not null default 0,
  attempts        int not null default 0,
  result          jsonb,
  last_error      text,
  park_reason     jsonb,
  prepared_at     timestamptz not null default clock_timestamp(),
  updated_at      timestamptz not null default clock_timestamp(),
  finished_at     timestamptz,
  -- when the scan looks at it again; null once it is delivered or rolled back
  due_at          timestamptz,
  scans           int not null default 0,
  txid            xid8 not null default pg_current_xact_id(),
  constraint half_message_idempotency unique (tenant_id, idempotency_key),
  constraint half_message_decided check ((verdict is null) = (decided_at is null) and (verdict is null) = (decided_by is null)),
  constraint half_message_finished check ((finished_at is not null) = (state in ('delivered', 'rolled-back'))),
  constraint half_message_agrees check (
    case state when 'prepared' then verdict is null
               when 'parked' then verdict is distinct from 'rolled-back'
               when 'rolled-back' then verdict = 'rolled-back'
               else verdict is not distinct from 'committed' end)
);
create index half_message_due on settle.half_message (due_at) where due_at is not null;
create index half_message_open on settle.half_message (state) where finished_at is null;

-- When each producer's host may be asked next: one row a host, for all workers together.
create table settle.check_back_host (
  host    text primary key,
  -- the turn given last
  turn_at timestamptz not null,
  txid    xid8 not null default pg_current_xact_id()
);

-- A verdict is given once, and what has ended stays as it is, whoever tries otherwise.
create function settle.keep_verdict() returns trigger language plpgsql as $$
begin
  raise exception 'message % is already % (%)', old.id, old.verdict, old.state using errcode = 'check_violation';
end $$;
create trigger half_message_verdict_final before update on settle.half_message
  for each row when (old.verdict is not null and (old.verdict, old.decided_by, old.decided_at)
                       is distinct from (new.verdict, new.decided_by, new.decided_at)
                     or old.finished_at is not null and old.state is distinct from new.state)
  execute function settle.keep_verdict();
