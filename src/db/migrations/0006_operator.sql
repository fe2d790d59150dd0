-- Up Migration
-- What operators do, and which steps wait for them.

-- Which steps are parked: step → { action, code, message, at }. `park_reason` stays: the latest of them, for lists.
alter table settle.saga add column parked jsonb not null default '{}';
update settle.saga
   set parked = jsonb_build_object(park_reason ->> 'step', park_reason || jsonb_build_object(
                  'action', case when reason is null then 'do' else 'undo' end, 'at', updated_at))
 where state = 'parked' and park_reason ->> 'step' is not null;

-- An operator's retry takes the refusal away instead.
alter table settle.step_effect drop column revision;

-- The first shape was never written to by any release.
drop table settle.operator_action;
create table settle.operator_action (
  tenant_id     text not null,
  -- chosen by the client: repeating an action is asking for its answer again
  id            text not null,
  -- without gaps, so that a row that is taken out of the middle shows
  seq           bigint not null unique,
  saga_id       text not null references settle.saga (id),
  step          text not null,
  action        text not null check (action in ('retry', 'skip', 'compensate', 'resolve', 'edit')),
  actor         text not null,
  reason        text not null,
  request_id    text not null,
  request_hash  text not null,
  before        jsonb not null,
  after         jsonb not null,
  at            timestamptz not null,
  previous_hash text not null,
  hash          text not null,
  txid          xid8 not null default pg_current_xact_id(),
  -- what the workflow is told; the three below change, all above never does
  operation     jsonb not null,
  delivered_at  timestamptz,
  due_at        timestamptz,
  deliveries    int not null default 0,
  primary key (tenant_id, id)
);
create index operator_action_by_saga on settle.operator_action (saga_id, seq);
create index operator_action_due on settle.operator_action (due_at) where delivered_at is null;

-- Of everything that never changes; jsonb has one text for equal values, and the time as a number has no time zone.
create function settle.operator_action_hash(a settle.operator_action) returns text language sql stable as $$
  select encode(sha256(convert_to(a.previous_hash || jsonb_build_object(
    'tenant', a.tenant_id, 'id', a.id, 'seq', a.seq, 'saga', a.saga_id, 'step', a.step, 'action', a.action,
    'actor', a.actor, 'reason', a.reason, 'request', a.request_id, 'requestHash', a.request_hash,
    'before', a.before, 'after', a.after, 'operation', a.operation, 'at', extract(epoch from a.at))::text, 'UTF8')), 'hex')
$$;

-- Each row holds the hash of the one before: one writer at a time, however many operators there are.
create function settle.chain_operator_action() returns trigger language plpgsql as $$
declare
  last record;
begin
  perform pg_advisory_xact_lock(hashtext('settle.operator_action'));
  select seq, hash into last from settle.operator_action order by seq desc limit 1;
  new.seq := coalesce(last.seq, 0) + 1;
  new.previous_hash := coalesce(last.hash, '');
  new.at := clock_timestamp();
  new.hash := settle.operator_action_hash(new);
  return new;
end $$;
create trigger operator_action_chained before insert on settle.operator_action
  for each row execute function settle.chain_operator_action();

create function settle.keep_operator_action() returns trigger language plpgsql as $$
begin
  if tg_op = 'UPDATE' and settle.operator_action_hash(new) = old.hash and new.hash = old.hash then
    return new;
  end if;
  raise exception 'operator action % is history and stays as it is', old.id using errcode = 'check_violation';
end $$;
create trigger operator_action_final before update or delete on settle.operator_action
  for each row execute function settle.keep_operator_action();

-- Where the chain is broken: a row that was changed, or one that is missing before it. No rows: it holds.
-- Rows cut off its end do not show here; compare the last hash with one that was kept elsewhere.
create function settle.verify_operator_actions() returns table (seq bigint, id text, problem text)
language sql stable as $$
  with chained as (
    select a.seq, a.id, a.hash, a.previous_hash, settle.operator_action_hash(a) as expected,
           lag(a.seq, 1, 0::bigint) over earlier as previous_seq, lag(a.hash, 1, '') over earlier as last_hash
      from settle.operator_action a window earlier as (order by a.seq))
  select seq, id, case when hash <> expected then 'was changed' else 'does not follow the one before it' end
    from chained where hash <> expected or previous_hash <> last_hash or seq <> previous_seq + 1 order by seq
$$;
