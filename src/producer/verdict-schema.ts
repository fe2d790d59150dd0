/**
 * What a producer keeps in its own database: what became of each local transaction that a half message belongs to.
 * Run it once, in the database of the business rows; running it again changes nothing.
 *
 * The two functions are the whole contract, in any language:
 * - `settle_producer.commit_message(id)` inside the local transaction, before the business work: the row commits with it.
 *   It fails when the message was already answered as rolled back.
 * - `settle_producer.check_back(id)` answers a check-back. No row: it writes the tombstone first and answers `rolled-back`,
 *   so that a transaction that is late can no longer commit. A transaction that is under way is waited for, 2 s at the most,
 *   then the answer is `unknown`.
 */
export const PRODUCER_MIGRATION = `
create schema if not exists settle_producer;

create table if not exists settle_producer.verdict (
  message_id text primary key,
  verdict    text not null check (verdict in ('committed', 'rolled-back')),
  decided_at timestamptz not null default clock_timestamp(),
  -- equal to the txid of the business rows that committed with it
  txid       xid8 not null default pg_current_xact_id()
);

-- True: this transaction commits the message. False: an earlier one has, and the work must not be done again.
create or replace function settle_producer.commit_message(id text) returns boolean language plpgsql as $$
begin
  insert into settle_producer.verdict (message_id, verdict) values (id, 'committed') on conflict do nothing;
  if found then
    return true;
  end if;
  if exists (select from settle_producer.verdict where message_id = id and verdict = 'committed') then
    return false;
  end if;
  raise exception 'message % was answered as rolled back; its transaction can no longer commit', id
    using errcode = 'unique_violation', constraint = 'verdict_pkey';
end $$;

-- It waits as long as its caller lets it for a transaction that is under way.
create or replace function settle_producer.verdict_or_tombstone(id text) returns text language plpgsql as $$
begin
  insert into settle_producer.verdict (message_id, verdict) values (id, 'rolled-back') on conflict do nothing;
  return (select verdict from settle_producer.verdict where message_id = id);
exception when lock_not_available then
  return 'unknown';
end $$;

create or replace function settle_producer.check_back(id text) returns text language sql set lock_timeout = '2s' as $$
  select settle_producer.verdict_or_tombstone(id)
$$;

-- Many at once: of those, each transaction that is under way costs a moment only.
create or replace function settle_producer.check_back_all(ids text[]) returns jsonb language sql set lock_timeout = '20ms' as $$
  select coalesce(jsonb_object_agg(id, settle_producer.verdict_or_tombstone(id)), '{}')
    from (select distinct id from unnest(ids) as id order by id) as asked
$$;

-- A verdict is never taken back.
create or replace function settle_producer.keep_verdict() returns trigger language plpgsql as $$
begin
  raise exception 'message % is % for good', old.message_id, old.verdict using errcode = 'check_violation';
end $$;
create or replace trigger verdict_final before update on settle_producer.verdict
  for each row execute function settle_producer.keep_verdict();
`;
