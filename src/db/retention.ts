import type pg from 'pg';
import { idBound } from '../saga/ids.js';
import type { Windows } from '../saga/windows.js';
import {
  boundsOf,
  createPartitions,
  databaseNow,
  dropPartition,
  hasEnded,
  listWeeks,
  type PartitionChange,
  type Week,
  type WeeklyTable,
} from './partitions.js';
import type { Transaction } from './pool.js';

/** The tables of the ledger that grow, in the order in which their weeks are dropped: what belongs to a saga goes before it. */
export const LEDGER_TABLES: readonly WeeklyTable[] = [
  { name: 'settle.saga_event', key: 'saga_id', prefixes: ['sg'] },
  { name: 'settle.awaited_event', key: 'saga_id', prefixes: ['sg'] },
  { name: 'settle.step_effect', key: 'effect_key', prefixes: ['sg'] },
  { name: 'settle.message_log', key: 'effect_key', prefixes: ['sg', 'om'] },
  { name: 'settle.saga', key: 'id', prefixes: ['sg'] },
  { name: 'settle.half_message', key: 'id', prefixes: ['msg'] },
];

/**
 * One round of the ledger's upkeep: partitions for the weeks to come, idempotency keys past their window forgotten, weeks past
 * the retention dropped unless something in them is open. Any number of processes may run it at once; killed at any point,
 * the next round goes on.
 *
 * @param signal ends the round after what is under way
 * @returns what became of the partitions
 */
export async function keepLedger(
  pool: pg.Pool,
  { keyMs, retentionMs }: Pick<Windows, 'keyMs' | 'retentionMs'>,
  signal: AbortSignal,
): Promise<readonly PartitionChange[]> {
  const created: PartitionChange[] = [];
  for (const table of LEDGER_TABLES) created.push(...(await createPartitions(pool, table)));
  const nowMs = await databaseNow(pool);
  await forgetKeys(pool, nowMs - keyMs, signal);
  await forgetPapers(pool, nowMs - retentionMs, signal);
  const dropped = await dropOldWeeks(pool, nowMs - retentionMs, signal);
  return [...created, ...dropped];
}

/** How many rows lie in no week: their partition was not there in time, or their id is none of ours. Counted no further than 10,000 a table. */
export async function countStrayed(pool: pg.Pool): Promise<number> {
  const counts = LEDGER_TABLES.map(
    ({ name }) => `(select count(*) from (select from ${name}_default limit 10000) as t)`,
  );
  const { rows } = await pool.query<{ count: number }>(`select ${counts.join(' + ')} as count`);
  return rows[0]!.count;
}

const BATCH = 1_000;

/**
 * Forgets keys by deleting their rows, some at a time: a key must be unique over all weeks, which no partitioned table can promise.
 * The rows are small, and their order is that of their index, so a batch costs the same however many are left.
 */
async function forgetKeys(pool: pg.Pool, beforeMs: number, signal: AbortSignal): Promise<void> {
  for (const prefix of ['sg', 'msg']) {
    const text = `delete from settle.idempotency_key where owner_id in (
                    select owner_id from settle.idempotency_key where owner_id >= $1 and owner_id < $2
                     order by owner_id limit ${BATCH} for update skip locked)`;
    await inBatches(pool, { text, values: [idBound(prefix, 0), idBound(prefix, beforeMs)] }, signal);
  }
}

/** What people were told, and what they had done in bulk: as few rows as there was trouble, and their ids bear no time. */
const OLD_PAPERS = [
  `delete from settle.notice where id in (
     select id from settle.notice where at < to_timestamp($1 / 1000.0) and due_at is null limit ${BATCH})`,
  `delete from settle.repair where id in (
     select id from settle.repair where created_at < to_timestamp($1 / 1000.0) and state <> 'running' limit ${BATCH})`,
];

async function forgetPapers(pool: pg.Pool, beforeMs: number, signal: AbortSignal): Promise<void> {
  for (const text of OLD_PAPERS) await inBatches(pool, { text, values: [beforeMs] }, signal);
}

async function inBatches(
  pool: pg.Pool,
  query: { text: string; values: unknown[] },
  signal: AbortSignal,
): Promise<void> {
  let batch: number | null = BATCH;
  while (batch === BATCH && !signal.aborted) ({ rowCount: batch } = await pool.query(query));
}

async function dropOldWeeks(pool: pg.Pool, beforeMs: number, signal: AbortSignal): Promise<readonly PartitionChange[]> {
  const changes: PartitionChange[] = [];
  for (const table of LEDGER_TABLES) {
    const old = (await listWeeks(pool, table)).filter((week) => hasEnded(week, beforeMs));
    for (const week of signal.aborted ? [] : old) {
      changes.push(await dropPartition(pool, { table, week }, (tx) => holdsOpen(tx, week)));
    }
  }
  return changes;
}

/**
 * Whether a week is still needed: something in it is open, an operator's action has not
 * reached it, or a key stands for something in it. What has settled stays so,
 * and nothing is accepted under an id that old, so the answer holds until the partition is gone.
 */
async function holdsOpen(tx: Transaction, week: Week): Promise<boolean> {
  const { rows } = await tx.query<{ isHeld: boolean }>(
    `select exists (${OPEN[week.prefix]})
         or exists (select from settle.operator_action where subject_id >= $1 and subject_id < $2 and delivered_at is null)
         or exists (select from settle.idempotency_key where owner_id >= $1 and owner_id < $2) as "isHeld"`,
    [...boundsOf(week)],
  );
  return rows[0]!.isHeld;
}

/** What is open among the ids from $1 on and before $2, by their prefix: sagas, half messages, outbox messages. */
const OPEN: Readonly<Record<string, string>> = {
  sg: 'select from settle.saga where id >= $1 and id < $2 and finished_at is null',
  msg: 'select from settle.half_message where id >= $1 and id < $2 and finished_at is null',
  om: `select from settle.message_log where effect_key >= $1 and effect_key < $2 and status in ('pending', 'dead')`,
};
