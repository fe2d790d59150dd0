-- Up Migration
-- What people should hear of, written in the transaction of what it tells of: by whom, or how often, it is read does not matter to that.
create table settle.notice (
  -- the webhook's id: the same however often it is delivered
  id           text primary key default 'ntc_' || gen_random_uuid(),
  tenant_id    text not null,
  type         text not null check (type in ('saga.parked', 'saga.stuck', 'half-message.parked', 'message.dead')),
  subject_id   text not null,
  -- why: a reason's code, or the cause of being stuck
  cause        text not null,
  data         jsonb not null,
  at           timestamptz not null default clock_timestamp(),
  -- of the webhook; null once it is delivered or given up
  due_at       timestamptz default clock_timestamp(),
  attempts     int not null default 0,
  delivered_at timestamptz,
  given_up_at  timestamptz,
  last_error   text,
  txid         xid8 not null default pg_current_xact_id()
);
create index notice_due on settle.notice (due_at) where due_at is not null;
-- in the order in which event streams read them
create index notice_by_tenant on settle.notice (tenant_id, txid, id);
-- a stuck saga is reported once for each cause
create unique index notice_stuck_once on settle.notice (subject_id, cause) where type = 'saga.stuck';

create function settle.notice_parked_saga() returns trigger language plpgsql as $$
begin
  insert into settle.notice (tenant_id, type, subject_id, cause, data)
  select new.tenant_id, 'saga.parked', new.id, why ->> 'code',
         jsonb_build_object('id', new.id, 'type', new.type, 'businessKey', new.business_key, 'state', new.state,
                            'step', step, 'direction', why ->> 'action',
                            'reason', jsonb_build_object('code', why ->> 'code', 'message', why ->> 'message'))
    from jsonb_each(new.parked) as p (step, why)
   -- recorded again, as its first answer was lost, it is still the same
   where why - 'at' is distinct from (old.parked -> step) - 'at';
  return null;
end $$;
create trigger saga_parked after update on settle.saga
  for each row when (new.state = 'parked' and new.parked is distinct from old.parked)
  execute function settle.notice_parked_saga();

create function settle.notice_message() returns trigger language plpgsql as $$
begin
  insert into settle.notice (tenant_id, type, subject_id, cause, data)
  values (new.tenant_id, tg_argv[0], new.id, new.park_reason ->> 'code',
          jsonb_build_object('id', new.id, 'type', new.type, 'state', new.state, 'reason', new.park_reason));
  return null;
end $$;
create trigger half_message_parked after update on settle.half_message
  for each row when (new.state = 'parked' and (old.state <> 'parked' or new.park_reason is distinct from old.park_reason))
  execute function settle.notice_message('half-message.parked');

-- Of the outbox: what sagas owe is reported with its saga.
create function settle.notice_dead_message() returns trigger language plpgsql as $$
declare
  id text := split_part(new.effect_key, '/', 1);
begin
  insert into settle.notice (tenant_id, type, subject_id, cause, data)
  values (new.tenant_id, 'message.dead', id, coalesce(new.reason ->> 'code', 'dead'),
          jsonb_build_object('id', id, 'type', new.type, 'state', new.status, 'reason', new.reason));
  return null;
end $$;
create trigger message_dead after update on settle.message_log
  for each row when (new.status = 'dead' and old.status <> 'dead' and new.saga_id is null)
  execute function settle.notice_dead_message();
