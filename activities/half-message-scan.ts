import type pg from 'pg';
import { claimDueHalfMessages, isHalfMessageOpen } from '../src/db/half-messages.js';
import type { HalfMessageStart } from '../src/saga/half-message.js';
import type { ScanFindings } from './scan.js';

/** What the scan needs of Temporal: the API's starter has it. */
export interface HalfMessageRestarter {
  /** Makes sure that an open message has a running workflow, and that it knows the verdict if there is one. */
  ensureRunning(message: HalfMessageStart, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
}

const BATCH = 200;
const CONCURRENCY = 16;

/** One round of the ledger scan over half messages: every open one that is due gets a running workflow. */
export async function scanHalfMessages(pool: pg.Pool, restarter: HalfMessageRestarter): Promise<ScanFindings> {
  const due = [...(await claimDueHalfMessages(pool, BATCH))];
  const findings = { due: due.length, started: 0, failed: 0 };
  const lanes = Array.from({ length: CONCURRENCY }, async () => {
    for (let message = due.shift(); message; message = due.shift()) {
      const { messageId } = message;
      try {
        const result = await restarter.ensureRunning(message, () => isHalfMessageOpen(pool, messageId));
        if (result === 'started') findings.started += 1;
      } catch {
        // counted, and due again: most often Temporal is away, for all of them alike
        findings.failed += 1;
      }
    }
  });
  await Promise.all(lanes);
  return findings;
}
