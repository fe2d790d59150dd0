import type { Client, WorkflowIdReusePolicy } from '@temporalio/client';
import type { Logger } from 'pino';
import { startOfRepair } from '../db/repairs.js';
import type { RepairStart } from '../saga/repair.js';
import { ensureRunning } from './ensure-running.js';
import { createStartLine } from './start-line.js';
import { startOnce } from './start-once.js';

/** Starts the workflows of repairs; the ledger is the truth, so that starting one twice does no harm. */
export interface RepairStarter {
  /** Returns at once and never throws: what cannot be started now is left to the ledger scan. */
  startSoon(repair: RepairStart): void;
  /**
   * Makes sure that a repair that is to run has a running workflow.
   *
   * @param isOpen asked before a workflow that has closed is started anew
   * @throws when Temporal cannot be reached
   */
  ensureRunning(repair: RepairStart, isOpen: () => Promise<boolean>): Promise<'started' | 'running' | 'settled'>;
  /** Waits for the starts under way. */
  stop(): Promise<void>;
}

export interface RepairStarterOptions {
  readonly client: Client;
  readonly taskQueue: string;
  readonly logger: Logger;
}

/** The name that the workflow function is exported under. */
const WORKFLOW = 'repair';

/** Makes the starter of one process. */
export function createRepairStarter(options: RepairStarterOptions): RepairStarter {
  const { client, logger } = options;
  const line = createStartLine((err) => logger.warn({ err }, 'repair not started; the ledger scan will'));
  return {
    stop: line.drain,
    startSoon: (repair) => {
      line.add(() => start(options, repair, 'REJECT_DUPLICATE'));
    },
    ensureRunning: (repair, isOpen) =>
      ensureRunning({
        ...{ client, workflowId: repair.repairId, isOpen, logger },
        start: (reuse) => start(options, repair, reuse),
      }),
  };
}

function start(
  { client, taskQueue }: RepairStarterOptions,
  repair: RepairStart,
  workflowIdReusePolicy: WorkflowIdReusePolicy,
): Promise<boolean> {
  const { repairId: workflowId, tenantId } = repair;
  return startOnce(client, WORKFLOW, {
    ...{ workflowId, taskQueue, workflowIdReusePolicy, args: [startOfRepair(repair)] },
    shown: { type: 'repair', tenantId },
  });
}
