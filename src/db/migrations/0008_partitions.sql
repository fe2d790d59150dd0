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
alter table settle.message_log drop constraint if exists message_log_pkey, drop constraint message_log_effect_key_key, add primary key (effect_key);
drop index if exists settle.message_log_by_saga;
drop index settle.step_effect_by_saga;

-- compared with ids of the saga's collation, or its index would not be used
alter table settle.operator_action alter column saga_id type text collate "C";

-- the revision of which an operator has confirmed that it may repeat its effect: participants need not remember it
alter table settle.message_log add column may_repeat int;
alter table settle.half_message add column may_repeat int;

-- A foreign key into a partitioned table would make dropping a week a scan of every table that refers to it. What belongs together
-- is written in one transaction that has locked the saga's row, and dropped in the order children, saga.
do $$
declare
  fk record;
begin
  for fk in select conrelid::regclass as owner, conname from pg_constraint
             where contype = 'f' and confrelid in ('settle.saga'::regclass, 'settle.message_log'::regclass, 'settle.half_message'::regclass) loop
    execute format('alter table %s drop constraint %I', fk.owner, fk.conname);
  end loop;
end $$;

-- Partitions a table of this schema by a column that begins with an id and is in each of its unique indexes. The old table becomes the
-- default partition of its successor, which has its columns, indexes, constraints and triggers; its rows move to their weeks
-- right after the migration.
create function settle.partition_by_week(name text, key text) returns void language plpgsql as $$
declare
  before   text := name || '_default';
  triggers text[];
  made     record;
begin
  select coalesce(array_agg(pg_get_triggerdef(oid)), '{}') into triggers
    from pg_trigger where tgrelid = format('settle.%I', name)::regclass and not tgisinternal;
  for made in select tgname from pg_trigger where tgrelid = format('settle.%I', name)::regclass and not tgisinternal loop
    execute format('drop trigger %I on settle.%I', made.tgname, name);
  end loop;
  execute format('alter table settle.%I alter column %I type text collate "C"', name, key);
  execute format('alter table settle.%I rename to %I', name, before);
  execute format('create table settle.%I (like settle.%I including all) partition by range (%I)', name, before, key);
  -- numbers go on where they were
  for made in select attname as number from pg_attribute where attrelid = format('settle.%I', before)::regclass and attidentity <> '' loop
    execute format('alter table settle.%I alter column %I drop identity', before, made.number);
    execute format('select setval(pg_get_serial_sequence(%L, %L), (select coalesce(max(%I), 0) + 1 from settle.%I), false)',
                   'settle.' || name, made.number, made.number, before);
  end loop;
  execute format('alter table settle.%I attach partition settle.%I default', name, before);
  for made in select unnest(triggers) as definition loop
    execute made.definition;
  end loop;
end $$;

select settle.partition_by_week('saga', 'id');
select settle.partition_by_week('saga_event', 'saga_id');
select settle.partition_by_week('step_effect', 'effect_key');
select settle.partition_by_week('message_log', 'effect_key');
select settle.partition_by_week('half_message', 'id');
