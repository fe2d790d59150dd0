import { continueAsNew, proxyActivities, sleep, workflowInfo } from '@temporalio/workflow';
import type { RepairActivities } from '../activities/repairs.js';
import type { RepairStart } from '../src/saga/repair.js';

const SECOND_MS = 1_000;

const { repairItems } = proxyActivities<RepairActivities>({
  startToCloseTimeout: '60s',
  // longer than any call takes: after it another worker goes on where one has died
  heartbeatTimeout: '10s',
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 20_000 },
  summary: 'the calls of one second',
});

/**
 * The workflow of a repair: makes its calls, so many a second, until none is left or it is cancelled.
 * Which calls those are, and what became of each, is in the ledger; a workflow that is started anew goes on where it was.
 */
export async function repair(start: RepairStart): Promise<void> {
  const { repairId, perSecond } = start;
  for (;;) {
    const begunMs = Date.now();
    if (await repairItems({ repairId, limit: perSecond })) return;
    const leftMs = begunMs + SECOND_MS - Date.now();
    if (leftMs > 0) await sleep(leftMs);
    if (workflowInfo().continueAsNewSuggested) await continueAsNew<typeof repair>(start);
  }
}
