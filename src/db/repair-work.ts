import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import type { RepairAction, RepairStart } from '../saga/repair.js';

/** One call that a running repair is to make next. */
export interface RepairCall extends RepairAction {
  readonly tenantId: string;
  readonly repairId: string;
  readonly position: number;
  readonly subjectId: string;
  readonly step: string;
  readonly version: string;
  readonly actor: string;
  readonly reason: string;
}

/** The next calls of a repair, in order; none when it does not run, or no longer. */
export async function nextRepairCalls(
  pool: pg.Pool,
  { repairId, limit }: { repairId: string; limit: number },
): Promise<readonly RepairCall[]> {
  const { rows } = await pool.query<{ arguments: object } & RepairCall>(
    `select r.tenant_id as "tenantId", r.id as "repairId", i.position, i.subject_id as "subjectId", i.step, i.version, r.actor,
            r.reason, r.action, r.arguments
       from settle.repair r join settle.repair_item i on i.repair_id = r.id
      where r.id = $1 and r.state = 'running' and i.status = 'planned' order by i.position limit $2`,
    [repairId, limit],
  );
  return rows.map(({ arguments: given, ...call }) => ({ ...call, ...given }));
}

/** What became of one call. */
export interface RepairCallEnd {
  readonly repairId: string;
  readonly position: number;
  readonly status: 'done' | 'skipped';
  readonly reason: Reason | null;
  /** Of the saga or message. */
  readonly state: string | null;
}

/** Records what became of a call; the first record stays. */
export async function recordRepairCall(pool: pg.Pool, end: RepairCallEnd): Promise<void> {
  await pool.query(
    `update settle.repair_item set status = $3, reason = $4, state = $5, at = clock_timestamp()
      where repair_id = $1 and position = $2 and status = 'planned'`,
    [end.repairId, end.position, end.status, end.reason ? JSON.stringify(end.reason) : null, end.state],
  );
}

/**
 * Ends a running repair of which nothing is left.
 *
 * @returns whether it is over, ended by this call or before
 */
export async function finishRepair(pool: pg.Pool, repairId: string): Promise<boolean> {
  await pool.query(
    `update settle.repair set state = 'done', finished_at = clock_timestamp(), due_at = null
      where id = $1 and state = 'running'
        and not exists (select from settle.repair_item where repair_id = $1 and status = 'planned')`,
    [repairId],
  );
  return !(await isRepairRunning(pool, repairId));
}

/** Whether a repair runs according to the ledger. */
export async function isRepairRunning(pool: pg.Pool, repairId: string): Promise<boolean> {
  const { rowCount } = await pool.query(`select 1 from settle.repair where id = $1 and state = 'running'`, [repairId]);
  return rowCount === 1;
}

/** Claims running repairs that are due for a look, oldest first; claiming sets the next (3 s, doubling to 5 min). */
export async function claimDueRepairs(pool: pg.Pool, limit: number): Promise<readonly RepairStart[]> {
  const { rows } = await pool.query<RepairStart>(
    `update settle.repair r
        set scans = scans + 1, due_at = clock_timestamp() + least(interval '3 seconds' * 2 ^ least(scans, 10), interval '5 minutes')
       from (select id as due_id from settle.repair where due_at <= clock_timestamp() order by due_at limit $1 for update skip locked) as due
      where r.id = due_id returning r.id as "repairId", tenant_id as "tenantId", per_second as "perSecond"`,
    [limit],
  );
  return rows;
}

/** Makes repairs due again soon: nothing was learnt of them. */
export async function postponeRepairs(pool: pg.Pool, repairIds: readonly string[]): Promise<void> {
  await pool.query(
    `update settle.repair set scans = 0, due_at = clock_timestamp() + interval '3 seconds'
      where id = any($1) and due_at is not null`,
    [repairIds],
  );
}
