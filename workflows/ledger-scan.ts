import { proxyActivities } from '@temporalio/workflow';
import type { ScanActivities } from '../activities/ledger-scan.js';

/** How long one run scans; the schedule has the next one waiting. */
const RUN_MS = 300_000;

const { scanLedger } = proxyActivities<ScanActivities>({
  startToCloseTimeout: RUN_MS + 60_000,
  // a worker that dies is missed this soon, and another goes on
  heartbeatTimeout: '3s',
  retry: { initialInterval: '200ms', backoffCoefficient: 2, maximumInterval: '2s' },
});

/** Finds what is due or stuck in the ledger and drives it on (定时扫描). Its result says what it found, by kind. */
export async function ledgerScan(): ReturnType<ScanActivities['scanLedger']> {
  return scanLedger({ forMs: RUN_MS });
}
