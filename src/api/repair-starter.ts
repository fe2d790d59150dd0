import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowIdReusePolicy } from '@temporalio/client';
import { defineSearchAttributeKey, SearchAttributeType, TypedSearchAttributes } from '@temporalio/common';
import type { Logger } from 'pino';
import { startOfRepair } from '../db/repairs.js';
import type { RepairStart } from '../saga/repair.js';
import { withDeadline } from './deadline.js';
import { ensureRunning } from './ensure-running.js';
import { createStartLine } from './start-line.js';

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

const TYPE = defineSearchAttributeKey('SettleSagaType', SearchAttributeType.KEYWORD);
const TENANT = defineSearchAttributeKey('SettleTenant', SearchAttributeType.KEYWORD);

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

/** Starts a workflow; false when there is one with its id already. */
async function start(
  { client, taskQueue }: RepairStarterOptions,
  repair: RepairStart,
  workflowIdReusePolicy: WorkflowIdReusePolicy,
): Promise<boolean> {
  try {
    await withDeadline(client, () =>
      client.workflow.start(WORKFLOW, {
        workflowId: repair.repairId,
        taskQueue,
        args: [startOfRepair(repair)],
        workflowIdReusePolicy,
        workflowIdConflictPolicy: 'FAIL',
        typedSearchAttributes: new TypedSearchAttributes([
          { key: TYPE, value: 'repair' },
          { key: TENANT, value: repair.tenantId },
        ]),
      }),
    );
    return true;
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return false;
    throw error;
  }
}
