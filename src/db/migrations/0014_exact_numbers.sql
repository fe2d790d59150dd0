-- Up Migration
-- A payload is read as JavaScript reads JSON: 2^53 + 1 was delivered as 2^53, and 1e400 as null.
-- What was sent before stays as it is.

-- Raises, with the argument's name, what cannot be sent; a wrong message must fail its producer, not its consumer.
create or replace function settle.check_sending(
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
