-- Up Migration
-- The outbox: messages that a producer sends from SQL, in its own transaction. They lie beside those that sagas owe, in one table.

-- A UUIDv7 (RFC 9562 §5.7): 48 bits of milliseconds, version, 74 random bits. PostgreSQL 18 has one, 15 to 17 do not.
create function settle.uuid_v7() returns uuid language sql volatile parallel safe set search_path = pg_catalog, pg_temp as $$
  select encode(
    set_bit(set_bit(
      overlay(uuid_send(gen_random_uuid())
        placing substring(int8send(floor(extract(epoch from clock_timestamp()) * 1000)::bigint) from 3) from 1 for 6),
      52, 1), 53, 1), 'hex')::uuid
$$;

alter table settle.message_log
  drop constraint message_log_saga_id_fkey,
  -- the effect key names a row, and nothing else does: one unique index less to write
  drop constraint message_log_pkey,
  alter column saga_id drop not null,
  alter column step drop not null,
  -- what a producer has numbered its message with, so that those of one key keep their order
  add column order_key text,
  -- when the relay, or the scan, looks at it next; null once it has its answer, and for what sagas owe
  add column due_at timestamptz,
  -- until then one relay has it: when that one dies, another may take it
  add column leased_until timestamptz,
  -- waits for the message before it under the same order key; that one's answer makes it due
  add column is_queued boolean not null default false,
  -- its first attempts have failed: a workflow of its own delivers it, and the scan looks after that
  add column in_workflow boolean not null default false,
  add column scans int not null default 0,
  add constraint message_log_owner check ((saga_id is null) = (step is null)),
  add constraint message_log_due check ((due_at is not null) = (saga_id is null and status = 'pending'));

-- A row's place among the others: a sequence of its own, which goes along when the table is made anew.
create sequence settle.message_log_position;
select setval('settle.message_log_position', coalesce(max(id), 0) + 1, false) from settle.message_log;
alter table settle.message_log alter column id drop identity;
alter table settle.message_log alter column id set default nextval('settle.message_log_position');

-- Room on each page, so that claiming a message, which changes no indexed column, writes no index either.
alter table settle.message_log set (fillfactor = 75);

-- What is settled is in none of these, so that they are as small as what is open.
drop index settle.message_log_pending;
drop index settle.message_log_by_saga;
create index message_log_by_saga on settle.message_log (saga_id) where saga_id is not null;
create index message_log_relay on settle.message_log (type, due_at) where due_at is not null and not in_workflow;
create index message_log_in_workflow on settle.message_log (due_at) where due_at is not null and in_workflow;
create index message_log_queue on settle.message_log (tenant_id, order_key, id)
  where order_key is not null and status in ('pending', 'dead');
create index message_log_dead on settle.message_log (tenant_id, effect_key) where saga_id is null and status = 'dead';

-- Sends a message, if and only if the caller's transaction commits.
--
--   select settle.send('inventory.restock', '{"sku": "book"}', order_key => 'book');
--
-- tenant      whose message it is
-- order_key   messages of one key are delivered one after the other, where their route says `ordered`
-- message_id  a UUIDv7 that the producer has made in the last day: sent again under the same id it is sent once
-- delay       the first attempt comes no sooner, at most 7 days from now
-- Returns the message's id, for `GET /v1/messages/{id}`.
--
-- It runs as its owner: a producer needs `usage` on the schema and `execute` on this, and can neither read nor change the ledger.
create function settle.send(
  type       text,
  payload    jsonb,
  tenant     text default 'default',
  order_key  text default null,
  message_id uuid default null,
  delay      interval default '0'
) returns text language plpgsql volatile security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
declare
  id    text;
  known record;
begin
  perform settle.check_sending(type, payload, tenant, order_key, message_id, delay);
  message_id := coalesce(message_id, settle.uuid_v7());
  id := 'om_' || message_id;
  insert into settle.message_log (effect_key, message_id, tenant_id, action, type, payload, order_key, due_at)
  values (id || '/message/do', message_id, tenant, 'do', type, payload, order_key, clock_timestamp() + delay)
  on conflict (effect_key) do nothing;
  if found then
    -- told when the transaction commits, once however many messages it sends
    perform pg_notify('settle_outbox', '');
    return id;
  end if;
  select (m.type, m.payload, m.tenant_id, m.order_key) is not distinct from (type, payload, tenant, order_key) as is_same into known
    from settle.message_log m where m.effect_key = id || '/message/do';
  if not found then
    raise exception 'settle.send: message ''%'' was sent by a transaction at the same time; run this one again', id
      using errcode = 'serialization_failure';
  end if;
  if not known.is_same then
    raise exception 'settle.send: message ''%'' was sent before with another type, payload, tenant or order_key; make a new id', id
      using errcode = 'unique_violation';
  end if;
  return id;
end $$;

-- Raises, with the argument's name, what cannot be sent; a wrong message must fail its producer, not its consumer.
create function settle.check_sending(
  type text, payload jsonb, tenant text, order_key text, message_id uuid, delay interval
) returns void language plpgsql volatile set search_path = pg_catalog, pg_temp as $$
declare
  problem text;
  made_at timestamptz;
begin
  problem := case
    when type is null or type !~ '^[A-Za-z0-9_.-]{1,200}$'
      then format('type must be 1 to 200 letters, digits, ''.'', ''_'' and ''-'', not %L', left(type, 100))
    when payload is null then 'payload must not be null; for JSON''s null write ''null''::jsonb'
    when payload @? '$.**{33}' then 'payload must not be nested deeper than 32 levels'
    -- it is read as JavaScript reads JSON: 2^53 + 1 would be delivered as 2^53, and 1e400 as null
    when payload @? '$.** ? (@.type() == "number" && (@ > 9007199254740991 || @ < -9007199254740991))'
      then 'payload must have no number beyond 2^53, which would be rounded on its way; send it as text'
    when octet_length(payload::text) > 65536
      then format('payload must have at most 65536 bytes as text, not %s', octet_length(payload::text))
    when tenant is null or tenant !~ '^[A-Za-z0-9_.-]{1,64}$'
      then format('tenant must be 1 to 64 letters, digits, ''.'', ''_'' and ''-'', not %L', left(tenant, 100))
    when order_key is not null and (length(order_key) not between 1 and 200 or order_key ~ '[[:cntrl:]]')
      then format('order_key must be 1 to 200 characters without control characters, not %L', left(order_key, 100))
    when delay is null or delay < interval '0' or delay > interval '7 days'
      then format('delay must be from 0 to 7 days, not %L', delay)
  end;
  if problem is null and message_id is not null then
    made_at := to_timestamp(('x' || translate(left(message_id::text, 13), '-', ''))::bit(48)::bigint / 1000.0);
    if substr(message_id::text, 15, 1) <> '7' or substr(message_id::text, 20, 1) !~ '[89ab]' then
      problem := format('message_id must be a UUIDv7, such as settle.uuid_v7() makes, not %L', message_id);
    elsif made_at not between clock_timestamp() - interval '1 day' and clock_timestamp() + interval '5 minutes' then
      problem := format('message_id must have been made in the last day, not at %s: an older one may have been forgotten', made_at);
    end if;
  end if;
  if problem is not null then
    raise exception 'settle.send: %', problem using errcode = 'invalid_parameter_value';
  end if;
end $$;

-- Whoever may send is for the installation to say: grant usage on schema settle, and execute on this function.
revoke execute on function settle.send(text, jsonb, text, text, uuid, interval) from public;
revoke execute on function settle.check_sending(text, jsonb, text, text, uuid, interval) from public;
