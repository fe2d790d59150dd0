import type pg from 'pg';
import { claimDueRepairs, isRepairRunning, postponeRepairs } from '../src/db/repair-work.js';
import type { ScanFindings } from '../src/db/scan-counts.js';
import type { RepairStart } from '../src/saga/repair.js';
import { lookAt } from './scan.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface RepairRestarter {
  /** Makes sure that a repair that is to run has a running workflow. */
  ensureRunning(repair: RepairStart, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
}

const BATCH = 20;

/** Every running repair that is due gets a running workflow. */
export async function scanRepairs(
  pool: pg.Pool,
  restarter: RepairRestarter,
  signal: AbortSignal,
): Promise<ScanFindings> {
  const due = await claimDueRepairs(pool, BATCH);
  const restart = (repair: RepairStart): Promise<string> =>
    restarter.ensureRunning(repair, () => isRepairRunning(pool, repair.repairId));
  const { left, ...findings } = await lookAt(due, restart, signal);
  if (left.length > 0)
    await postponeRepairs(
      pool,
      left.map(({ repairId }) => repairId),
    );
  return findings;
}
