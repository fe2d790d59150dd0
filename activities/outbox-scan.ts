import type pg from 'pg';
import { claimDueOutbox, isOutboxMessageOpen, returnToRelay } from '../src/db/outbox-work.js';
import type { ScanFindings } from '../src/db/scan-counts.js';
import type { OutboxStart } from '../src/saga/outbox.js';
import { lookAt } from './scan.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface OutboxRestarter {
  /** Makes sure that an open message has a running workflow. */
  ensureRunning(message: OutboxStart, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
}

const BATCH = 200;

/**
 * Every message that the relay has given up on and that is due gets a running
 * workflow. While Temporal is away the relay has them back: it delivers without.
 */
export async function scanOutbox(
  pool: pg.Pool,
  restarter: OutboxRestarter,
  signal: AbortSignal,
): Promise<ScanFindings> {
  const due = await claimDueOutbox(pool, BATCH);
  const restart = (message: OutboxStart): Promise<string> =>
    restarter.ensureRunning(message, () => isOutboxMessageOpen(pool, message.messageId));
  const { left, ...findings } = await lookAt(due, restart, signal);
  if (left.length > 0)
    await returnToRelay(
      pool,
      left.map(({ messageId }) => messageId),
    );
  return findings;
}
