/**
 * The inbox table of a participant, in a schema of its own choice.
 * It lives in the participant's database, because its rows must commit with the business rows.
 *
 * | status | what it says | a repetition gets |
 * |---|---|---|
 * | applied | the work and this row committed together (or there was nothing to undo) | the stored result, for ever |
 * | rejected | definitely not applied | the stored reason; only a higher revision runs again |
 * | tombstone | an `undo` came first, or took over a rejection | a refusal, whatever the revision |
 *
 * @throws TypeError when `schema` is not a plain lower-case name
 */
export function inboxSchema(schema: string): string {
  return `
create table ${schemaName(schema)}.inbox (
  consumer     text not null,
  effect_key   text not null,
  saga_id      text not null,
  step         text not null,
  action       text not null check (action in ('do', 'undo')),
  message_id   text not null,
  revision     int not null,
  request_hash text not null,
  status       text not null check (status in ('applied', 'rejected', 'tombstone')),
  result       jsonb,
  reason       jsonb,
  applied_at   timestamptz not null default clock_timestamp(),
  -- equal to the txid of the business rows that this effect wrote
  txid         xid8 not null default pg_current_xact_id(),
  primary key (consumer, effect_key),
  constraint inbox_reason check ((status = 'rejected') <= (reason is not null)),
  constraint inbox_undo check (status <> 'tombstone' or action = 'do')
);
create index inbox_by_saga on ${schema}.inbox (saga_id);
`;
}

/**
 * Partitions the inbox by the week in its effect keys, so that old rows leave by dropping a table. What was there becomes the
 * default partition, from which its rows move to their weeks.
 */
export function inboxByWeek(schema: string): string {
  const inbox = `${schemaName(schema)}.inbox`;
  return `
-- a saga's effects are found by the beginning of their keys
drop index ${inbox}_by_saga;
-- in byte order a range of keys is a range of time
alter table ${inbox} alter column effect_key type text collate "C";
alter table ${inbox} rename to inbox_default;
create table ${inbox} (like ${inbox}_default including all) partition by range (effect_key);
alter table ${inbox} attach partition ${inbox}_default default;
`;
}

/**
 * A schema name that may stand in SQL without quotes.
 *
 * @throws TypeError when it is anything else
 */
export function schemaName(schema: string): string {
  if (!/^[a-z_][a-z0-9_]{0,62}$/.test(schema)) {
    throw new TypeError(`'${schema}' is not a schema name; write lower-case letters, digits and underscores`);
  }
  return schema;
}
