import type pg from 'pg';
import {
  createPartitions,
  databaseNow,
  dropPartition,
  hasEnded,
  listWeeks,
  type PartitionChange,
  type WeeklyTable,
} from '../db/partitions.js';
import { schemaName } from './inbox-schema.js';

/** The inbox in a schema, as a table of weeks: sagas', half messages' and outbox messages' effect keys. */
export function inboxTable(schema: string): WeeklyTable {
  return { name: `${schemaName(schema)}.inbox`, key: 'effect_key', prefixes: ['sg', 'msg', 'om'] };
}

/** Kept beyond the window, so that the clocks of a participant and its database need not agree. */
const SLACK_MS = 86_400_000;
const BATCH = 1_000;

/**
 * One round of an inbox's upkeep: partitions for the weeks to come, weeks past the window dropped, with the attempts counted then. Any number of processes may
 * run it at once; killed at any point, the next round goes on.
 *
 * @returns what became of the partitions
 */
export async function keepInbox(
  pool: pg.Pool,
  { schema, windowMs }: { readonly schema: string; readonly windowMs: number },
): Promise<readonly PartitionChange[]> {
  const table = inboxTable(schema);
  const sinceMs = Math.max(0, (await databaseNow(pool)) - windowMs - SLACK_MS);
  const changes = [...(await createPartitions(pool, table, sinceMs))];
  for (const week of (await listWeeks(pool, table)).filter((each) => hasEnded(each, sinceMs))) {
    changes.push(await dropPartition(pool, { table, week }, () => Promise.resolve(false)));
  }
  await forgetRepeated(pool, table, sinceMs);
  await forgetAttempts(pool, schema, sinceMs);
  return changes;
}

/**
 * What was applied under a key older than the window, because an operator confirmed it, lies in the default partition: it is
 * remembered for a window of its own, so that its own repetitions are found.
 */
async function forgetRepeated(pool: pg.Pool, { name }: WeeklyTable, beforeMs: number): Promise<void> {
  await pool.query(
    `delete from ${name}_default where effect_key in (
       select effect_key from ${name}_default where applied_at < to_timestamp($1 / 1000.0) limit ${BATCH})`,
    [beforeMs],
  );
}

/** Of messages that nobody has sent for a window: dead letters, for the most part. */
async function forgetAttempts(pool: pg.Pool, schema: string, beforeMs: number): Promise<void> {
  const table = `${schemaName(schema)}.delivery_attempt`;
  await pool.query(
    `delete from ${table} where (consumer, effect_key, revision) in (
       select consumer, effect_key, revision from ${table} where at < to_timestamp($1 / 1000.0) order by at limit ${BATCH})`,
    [beforeMs],
  );
}
