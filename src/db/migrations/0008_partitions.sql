-- Up Migration
-- What grows is partitioned by the week in its ids, so that old rows leave by dropping a table. An id is `<prefix>_<uuidv7>`:
-- in byte order ("C") a range of ids is a range of time.

-- A key must be unique over all weeks, which no partitioned table can promise.
create table settle.idempotency_key (
  tenant_id text not null,
  kind      text not null check (kind in ('saga', 'message')),
  key       text not null,
  -- the saga or half message that it stands for; says when its window ends, too
  owner_id  text collate "C" not null unique,
  txid      xid8 not null default pg_current_xact_id(),
  primary key (tenant_id, kind, key)
);
insert into settle.idempotency_key (tenant_id, kind, key, owner_id, txid)
select tenant_id, 'saga', idempotency_key, id, txid from settle.saga
union all
select tenant_id, 'message', idempotency_key, id, txid from settle.half_message;
alter table settle.saga drop constraint saga_idempotency;
alter table settle.half_message drop constraint half_message_idempotency;

-- Uniqueness within a partition must name its key. A saga's effects are found by the beginning of their keys.
alter table settle.saga_event drop constraint saga_event_pkey, add primary key (saga_id, id);
drop index settle.saga_event_by_saga;
alter table settle.message_log drop constraint message_log_pkey, drop constraint message_log_effect_key_key, add primary key (effect_key);
drop index settle.message_log_by_saga;
drop index settle.step_effect_by_saga;

-- compared with ids of the saga's collation, or its index would not be used
alter table settle.operator_action alter column saga_id type text collate "C";

-- the revision of which an operator has confirmed that it may repeat its effect: participants need not remember it
alter table settle.message_log add column may_repeat int;
alter table settle.half_message add column may_repeat int;

do $$
declare
  fk record;
  weekly record;
  triggers text[];
  definition text;
begin
  -- A foreign key into a partitioned table would make dropping a week a scan of every table that refers to it. What belongs together
  -- is written in one transaction that has locked the saga's row, and dropped in the order children, saga.
  for fk in select conrelid::regclass as owner, conname from pg_constraint
             where contype = 'f' and confrelid in ('settle.saga'::regclass, 'settle.message_log'::regclass, 'settle.half_message'::regclass) loop
    execute format('alter table %s drop constraint %I', fk.owner, fk.conname);
  end loop;

  -- Each old table becomes the default partition of its successor; its rows move to their weeks right after this migration.
  for weekly in select * from (values ('saga', 'id'), ('saga_event', 'saga_id'), ('step_effect', 'effect_key'),
                                      ('message_log', 'effect_key'), ('half_message', 'id')) as t (name, key) loop
    select coalesce(array_agg(pg_get_triggerdef(oid)), '{}') into triggers
      from pg_trigger where tgrelid = format('settle.%I', weekly.name)::regclass and not tgisinternal;
    for definition in select tgname from pg_trigger where tgrelid = format('settle.%I', weekly.name)::regclass and not tgisinternal loop
      execute format('drop trigger %I on settle.%I', definition, weekly.name);
    end loop;
    execute format('alter table settle.%I alter column %I type text collate "C"', weekly.name, weekly.key);
    execute format('alter table settle.%I rename to %s', weekly.name, weekly.name || '_default');
    execute format('create table settle.%I (like settle.%I including all) partition by range (%I)',
                   weekly.name, weekly.name || '_default', weekly.key);
    if weekly.name in ('saga_event', 'message_log') then
      execute format('alter table settle.%I alter column id drop identity', weekly.name || '_default');
      execute format('select setval(pg_get_serial_sequence(%L, ''id''), (select coalesce(max(id), 0) + 1 from settle.%I), false)',
                     'settle.' || weekly.name, weekly.name || '_default');
    end if;
    execute format('alter table settle.%I attach partition settle.%I default', weekly.name, weekly.name || '_default');
    foreach definition in array triggers loop
      execute definition;
    end loop;
  end loop;
end $$;
