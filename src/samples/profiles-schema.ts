import type { ParticipantSchema } from '../participant/index.js';

/** The database of the profiles service. Each row says which effect wrote it, and its `txid` equals that of the effect's inbox row. */
export const profilesSchema: ParticipantSchema = {
  schema: 'profiles',
  migrations: [
    {
      name: '0001_profiles',
      sql: `
-- keyed by the effect key of the do; what is undone stays, as deleted
create table profiles.profile (
  effect_key text primary key,
  saga_id    text not null,
  tenant_id  text not null,
  user_id    text not null,
  user_name  text not null,
  email      text not null,
  status     text not null check (status in ('active', 'deleted')),
  txid       xid8 not null default pg_current_xact_id()
);
create unique index profile_email_once on profiles.profile (tenant_id, lower(email)) where status = 'active';
create unique index profile_user_once on profiles.profile (user_id) where status = 'active';

create table profiles.preferences (
  effect_key text primary key,
  saga_id    text not null,
  user_id    text not null,
  language   text not null,
  status     text not null check (status in ('active', 'deleted')),
  txid       xid8 not null default pg_current_xact_id()
);
create unique index preferences_user_once on profiles.preferences (user_id) where status = 'active';

-- what goes to the mail server, once each
create table profiles.mail (
  effect_key text primary key,
  saga_id    text not null,
  user_id    text not null,
  recipient  text not null,
  template   text not null,
  sent_at    timestamptz not null default clock_timestamp(),
  txid       xid8 not null default pg_current_xact_id()
);`,
    },
  ],
};
