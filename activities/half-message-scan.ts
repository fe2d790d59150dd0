import type pg from 'pg';
import {
  claimDueHalfMessages,
  isHalfMessageOpen,
  postponeHalfMessages,
  type DueHalfMessage,
} from '../src/db/half-messages.js';
import type { ScanFindings } from '../src/db/scan-counts.js';
import { lookAt } from './scan.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface HalfMessageRestarter {
  /** Makes sure that an open message has a running workflow, and that it knows the verdict if there is one. */
  ensureRunning(message: DueHalfMessage, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
}

const BATCH = 200;

/** Every open half message that is due gets a running workflow. */
export async function scanHalfMessages(
  pool: pg.Pool,
  restarter: HalfMessageRestarter,
  signal: AbortSignal,
): Promise<ScanFindings> {
  const due = await claimDueHalfMessages(pool, BATCH);
  const restart = (message: DueHalfMessage): Promise<string> =>
    restarter.ensureRunning(message, () => isHalfMessageOpen(pool, message.messageId));
  const { left, ...findings } = await lookAt(due, restart, signal);
  if (left.length > 0)
    await postponeHalfMessages(
      pool,
      left.map(({ messageId }) => messageId),
    );
  return findings;
}
