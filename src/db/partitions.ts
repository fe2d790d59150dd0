import pg from 'pg';
import { idBound } from '../saga/ids.js';
import { withTransaction, type Transaction } from './pool.js';

/**
 * A table that is partitioned by the time in its ids: one partition a week and prefix, named `<table>_<prefix>_<monday>`,
 * and `<table>_default` for whatever has none, so that no insert ever fails for want of a partition.
 */
export interface WeeklyTable {
  /** With its schema, e.g. `settle.saga`; a name that needs no quotes. */
  readonly name: string;
  /** The text column, `collate "C"`, that begins with an id. */
  readonly key: string;
  /** Of the ids in it, e.g. `sg`. */
  readonly prefixes: readonly string[];
}

/** One week of one prefix. */
export interface Week {
  readonly prefix: string;
  /** Its Monday, ms since the epoch, UTC. */
  readonly startMs: number;
}

/** What became of a partition that was to be created or dropped. */
export interface PartitionChange {
  /** The partition's, without its schema. */
  readonly name: string;
  /** `busy`: somebody held a lock for longer than we let others wait for us; `held`: something in it is still needed. */
  readonly outcome: 'created' | 'dropped' | 'held' | 'busy';
}

const WEEK_MS = 7 * 86_400_000;
/** The first Monday of the epoch: 1970-01-05. */
const FIRST_MONDAY_MS = 4 * 86_400_000;
/** This week and the next two: so long everybody who creates partitions may be away before rows land in the default one. */
const WEEKS = 3;

/** A change that waits for a lock makes all others wait behind it, so it waits this long at the most. */
const LOCK_TIMEOUT = '200ms';
const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK = '40P01';

/** The Monday on or before a moment, in ms since the epoch. */
export function weekOf(ms: number): number {
  return Math.floor((ms - FIRST_MONDAY_MS) / WEEK_MS) * WEEK_MS + FIRST_MONDAY_MS;
}

/** The ids of a week: from the first bound on, before the second. */
export function boundsOf({ prefix, startMs }: Week): readonly [string, string] {
  return [idBound(prefix, startMs), idBound(prefix, startMs + WEEK_MS)];
}

/** Whether a week ended before a moment. */
export function hasEnded({ startMs }: Week, beforeMs: number): boolean {
  return startMs + WEEK_MS <= beforeMs;
}

/** The name of a week's partition, without its schema. */
export function partitionName({ name }: WeeklyTable, { prefix, startMs }: Week): string {
  return `${name.split('.')[1]}_${prefix}_${new Date(startMs).toISOString().slice(0, 10).replaceAll('-', '')}`;
}

/** The present of the database, in ms since the epoch: partitions are made and dropped by one clock. */
export async function databaseNow(db: Transaction): Promise<number> {
  const { rows } = await db.query<{ now: number }>(
    'select extract(epoch from clock_timestamp())::float8 * 1000 as now',
  );
  return rows[0]!.now;
}

/** The weeks that a table has partitions for, oldest first. */
export async function listWeeks(db: Transaction, table: WeeklyTable): Promise<readonly Week[]> {
  const { rows } = await db.query<{ name: string }>(
    `select c.relname as name from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = $1::regclass`,
    [table.name],
  );
  const weeks = rows.flatMap(({ name }) => {
    const [, prefix, year, month, day] = /_([a-z]+)_(\d{4})(\d\d)(\d\d)$/.exec(name) ?? [];
    return prefix === undefined ? [] : [{ prefix, startMs: Date.parse(`${year}-${month}-${day}T00:00:00Z`) }];
  });
  return weeks.sort((a, b) => a.startMs - b.startMs);
}

/**
 * Makes sure that a table has partitions for this week and the next two, and for each week that rows in its default partition
 * belong to; those move there. Idempotent, and safe for many processes at once: they queue.
 *
 * @param sinceMs rows of weeks that ended before are left where they are. @default all are moved
 * @returns what was created; nothing when nothing was missing
 */
export async function createPartitions(
  pool: pg.Pool,
  table: WeeklyTable,
  sinceMs = 0,
): Promise<readonly PartitionChange[]> {
  const missing = await findMissing(pool, table, sinceMs);
  if (missing.length === 0) return [];
  const names = missing.map((week) => partitionName(table, week));
  const isDone = await tryLocked(pool, async (tx) => {
    // for whoever is already at it one waits without holding anything
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`partitions of ${table.name}`]);
    await limitLocks(tx);
    for (const week of await findMissing(tx, table, sinceMs)) await createPartition(tx, table, week);
  });
  return names.map((name) => ({ name, outcome: isDone ? 'created' : 'busy' }));
}

/**
 * The same for several tables of a database that was just migrated, until nothing is missing. Without limits of time, as the rows
 * of a table that was not partitioned before may be many.
 */
export async function createAllPartitions(url: string, tables: readonly WeeklyTable[]): Promise<void> {
  const pool = new pg.Pool({ connectionString: url, max: 1, application_name: 'settle-migrate' });
  pool.on('error', () => undefined);
  try {
    for (const table of tables) {
      let isBusy = true;
      while (isBusy) isBusy = (await createPartitions(pool, table)).some(({ outcome }) => outcome === 'busy');
    }
  } finally {
    await pool.end();
  }
}

async function findMissing(db: Transaction, table: WeeklyTable, sinceMs: number): Promise<readonly Week[]> {
  const nowMs = await databaseNow(db);
  const thisWeek = weekOf(nowMs);
  const ahead = Array.from({ length: WEEKS }, (_, index) => thisWeek + index * WEEK_MS);
  const wanted = table.prefixes.flatMap((prefix) => ahead.map((startMs): Week => ({ prefix, startMs })));
  const strayed = (await findStrayed(db, table)).filter((week) => !hasEnded(week, sinceMs));
  const known = new Set((await listWeeks(db, table)).map((week) => partitionName(table, week)));
  const missing = new Map([...wanted, ...strayed].map((week) => [partitionName(table, week), week]));
  return [...missing].filter(([name]) => !known.has(name)).map(([, week]) => week);
}

/** The weeks of the rows in the default partition; of what is no id of ours there is none. */
async function findStrayed(db: Transaction, { name, key, prefixes }: WeeklyTable): Promise<readonly Week[]> {
  const { rows } = await db.query<{ prefix: string; ms: number }>(
    `select distinct prefix, ('x' || hex)::bit(48)::bigint::float8 as ms
       from ${name}_default, lateral (select split_part(${key}, '_', 1) as prefix,
              left(replace(split_part(${key}, '_', 2), '-', ''), 12) as hex) as parts
      where ${key} ~ '^[a-z]+_[0-9a-f]{8}-[0-9a-f]{4}-7' and prefix = any($1)`,
    [prefixes],
  );
  return rows.map(({ prefix, ms }) => ({ prefix, startMs: weekOf(ms) }));
}

/** Filled before it is attached, so that no reader ever misses a row. */
async function createPartition(tx: Transaction, table: WeeklyTable, week: Week): Promise<void> {
  const { name, key } = table;
  const partition = `${name.split('.')[0]}.${partitionName(table, week)}`;
  const [from, to] = boundsOf(week);
  // nobody writes into the default partition, and so into this week, until the new one is there
  await tx.query(`lock table ${name}_default in access exclusive mode`);
  await tx.query(`create table ${partition} (like ${name} including all excluding identity)`);
  await tx.query(
    `with moved as (delete from ${name}_default where ${key} >= $1 and ${key} < $2 returning *)
     insert into ${partition} select * from moved`,
    [from, to],
  );
  // bounds cannot be parameters; they are of hexadecimal digits only
  await tx.query(`alter table ${name} attach partition ${partition} for values from ('${from}') to ('${to}')`);
}

/**
 * Drops one partition, unless something in it is still needed. Its table is locked for some ms, its files go afterwards.
 *
 * @param isHeld asked in the same transaction
 */
export async function dropPartition(
  pool: pg.Pool,
  { table, week }: { readonly table: WeeklyTable; readonly week: Week },
  isHeld: (tx: Transaction) => Promise<boolean>,
): Promise<PartitionChange> {
  const name = partitionName(table, week);
  let outcome: PartitionChange['outcome'] = 'dropped';
  const isDone = await tryLocked(pool, async (tx) => {
    if (await isHeld(tx)) return void (outcome = 'held');
    await limitLocks(tx);
    await tx.query(`drop table if exists ${table.name.split('.')[0]}.${name}`);
  });
  return { name, outcome: isDone ? outcome : 'busy' };
}

async function limitLocks(tx: Transaction): Promise<void> {
  await tx.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`);
}

/** False when the locks could not be had in time; then nothing has changed. */
async function tryLocked(pool: pg.Pool, work: (tx: Transaction) => Promise<void>): Promise<boolean> {
  try {
    await withTransaction(pool, work);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === LOCK_NOT_AVAILABLE || code === DEADLOCK) return false;
    throw error;
  }
}
