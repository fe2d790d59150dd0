import pg from 'pg';
import { createAllPartitions } from '../db/partitions.js';
import { attemptsSchema } from './attempts-schema.js';
import { inboxByWeek, inboxSchema, schemaName } from './inbox-schema.js';
import { inboxTable } from './retention.js';

/** One change of a participant's database. Its name is data: once released it is never renamed, nor is its SQL changed. */
export interface ParticipantMigration {
  readonly name: string;
  readonly sql: string;
}

/** What a participant's database needs besides the inbox. */
export interface ParticipantSchema {
  /** Where the inbox and the business tables live; created when missing. */
  readonly schema: string;
  /** Applied in this order, each once. */
  readonly migrations: readonly ParticipantMigration[];
}

const INBOX = '0000_inbox';
const INBOX_BY_WEEK = '0000_inbox_by_week';
const DELIVERY_ATTEMPT = '0000_delivery_attempt';

/**
 * Brings a participant's database to this release: its schema, the inbox, the counter of attempts, its own migrations, all in one transaction.
 * Many processes may start it at once: they queue on an advisory lock. Then the inbox has partitions for the weeks to come.
 *
 * @param url a `postgres://` URL of the participant's own database
 * @throws Error that names the migration that failed, or the one that the database has and this release does not
 */
export async function migrateParticipant(url: string, { schema, migrations }: ParticipantSchema): Promise<void> {
  const all = [
    { name: INBOX, sql: inboxSchema(schema) },
    { name: INBOX_BY_WEEK, sql: inboxByWeek(schema) },
    { name: DELIVERY_ATTEMPT, sql: attemptsSchema(schema) },
    ...migrations,
  ];
  await withClient(url, async (client) => {
    await client.query('begin');
    await client.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`settle.migrate.${schema}`]);
    const applied = await openJournal(client, schemaName(schema));
    const unknown = applied.find((name) => !all.some((migration) => migration.name === name));
    if (unknown !== undefined) {
      throw new Error(
        `schema '${schema}' has migration '${unknown}', which this release does not know; deploy the newer release`,
      );
    }
    for (const migration of all.filter(({ name }) => !applied.includes(name)))
      await applyOne(client, schema, migration);
    await client.query('commit');
  });
  await createAllPartitions(url, [inboxTable(schema)]);
}

/**
 * Runs one statement that fills tables with rows to begin with; it must leave alone what is there already.
 *
 * @param url a `postgres://` URL of the participant's own database, migrated
 */
export async function seedParticipant(url: string, sql: string): Promise<void> {
  await withClient(url, (client) => client.query(sql));
}

async function withClient(url: string, work: (client: pg.Client) => Promise<unknown>): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 5_000,
    application_name: 'settle-migrate',
  });
  // a connection that breaks between two queries would end the process; the next query reports it
  client.on('error', () => undefined);
  await client.connect();
  try {
    await work(client);
  } finally {
    // ending the connection undoes what was not committed
    await client.end();
  }
}

async function openJournal(client: pg.Client, schema: string): Promise<string[]> {
  await client.query(`create schema if not exists ${schema}`);
  await client.query(
    `create table if not exists ${schema}.migration (name text primary key, applied_at timestamptz not null default clock_timestamp())`,
  );
  const { rows } = await client.query<{ name: string }>(`select name from ${schema}.migration`);
  return rows.map(({ name }) => name);
}

async function applyOne(client: pg.Client, schema: string, { name, sql }: ParticipantMigration): Promise<void> {
  try {
    await client.query(sql);
    await client.query(`insert into ${schema}.migration (name) values ($1)`, [name]);
  } catch (cause) {
    throw new Error(`migration '${name}' of schema '${schema}' failed: ${(cause as Error).message}`, { cause });
  }
}
