import { schemaName } from './inbox-schema.js';

/**
 * The table of deliveries that have not ended well, in a participant's schema: so that a message which ends the process that handles it
 * is known to the next one. Most messages never have a row here.
 *
 * @throws TypeError when `schema` is not a plain lower-case name
 */
export function attemptsSchema(schema: string): string {
  return `
create table ${schemaName(schema)}.delivery_attempt (
  consumer   text not null,
  effect_key text not null,
  -- what an operator sends again is another one, and begins anew
  revision   int not null,
  attempts   int not null check (attempts > 0),
  last_error text,
  at         timestamptz not null default clock_timestamp(),
  primary key (consumer, effect_key, revision)
);
create index delivery_attempt_by_age on ${schema}.delivery_attempt (at);
`;
}
