import { proxyActivities } from '@temporalio/workflow';
import type { HalfMessageActivities } from '../activities/half-message-activities.js';

/** What a check needs beyond its producer's time: its database work. */
const LEDGER_MARGIN_MS = 6_000;

/**
 * The check-back, as a regular activity: visible in the Web UI, and tried until the ledger has noted what came of it.
 * A producer that does not answer is no failure: the workflow decides when to ask again.
 */
export function checkActivity(timeoutMs: number): Pick<HalfMessageActivities, 'checkBack'> {
  return proxyActivities<HalfMessageActivities>({
    startToCloseTimeout: timeoutMs + LEDGER_MARGIN_MS,
    retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 20_000 },
    summary: 'check-back',
  });
}
