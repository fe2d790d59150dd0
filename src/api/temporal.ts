import {
  Client,
  Connection,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  type ConnectionLike,
  type ConnectionOptions,
} from '@temporalio/client';
import type { TemporalConfig } from '../config.js';

/** What people search sagas by in the Temporal Web UI; all are keywords. */
export const SEARCH_ATTRIBUTES = [
  'SettleSagaType',
  'SettleState',
  'SettleBusinessKey',
  'SettleTenant',
  'SettleStep',
] as const;

/** `IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD` of Temporal's API. */
const KEYWORD = 2;

/** The options that both of the SDK's connections take. */
export function connectionOptions(config: TemporalConfig): ConnectionOptions & { address?: string; apiKey?: string } {
  return { address: config.address, tls: config.tls as ConnectionOptions['tls'], apiKey: config.apiKey as string };
}

/** A client of its own connection, made without waiting: the API answers while Temporal is away. */
export function createLazyClient(config: TemporalConfig): Client {
  return createClient(Connection.lazy({ ...connectionOptions(config), connectTimeout: 2_000 }), config);
}

/** A client that shares a connection, e.g. with the worker of the same process. */
export function createClient(connection: ConnectionLike, config: TemporalConfig): Client {
  return new Client({ connection, namespace: config.namespace });
}

/**
 * Registers the search attributes where they are missing; a workflow that uses an unknown one would never get on.
 *
 * @throws Error that names the missing ones, when the server does not let us add them
 */
export async function ensureSearchAttributes({ connection }: Client, config: TemporalConfig): Promise<void> {
  const { namespace } = config;
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = SEARCH_ATTRIBUTES.filter((name) => customAttributes[name] === undefined);
  if (missing.length === 0) return;
  try {
    const searchAttributes = Object.fromEntries(missing.map((name) => [name, KEYWORD]));
    await connection.operatorService.addSearchAttributes({ namespace, searchAttributes });
  } catch (cause) {
    const problem = `namespace '${namespace}' lacks the search attributes ${missing.join(', ')} (keywords); create them`;
    // another process may have added them at the same moment
    const again = await connection.operatorService.listSearchAttributes({ namespace });
    if (missing.some((name) => again.customAttributes[name] === undefined)) throw new Error(problem, { cause });
  }
}

/** How often the scan's workflow is begun anew, so that its history stays short. */
const SCAN_EVERY = '5m';

/**
 * Makes sure that the ledger scan is scheduled: once for a task queue, however many workers it has. It begins at once, and one
 * run follows the other without a pause between them; pausing the schedule in the Web UI pauses the scan.
 *
 * @throws when Temporal cannot be reached
 */
export async function ensureScanSchedule({ schedule }: Client, { taskQueue }: TemporalConfig): Promise<void> {
  const scheduleId = `settle-scan-${taskQueue}`;
  try {
    await schedule.getHandle(scheduleId).describe();
    return;
  } catch (error) {
    if (!(error instanceof ScheduleNotFoundError)) throw error;
  }
  try {
    await schedule.create({
      scheduleId,
      spec: { intervals: [{ every: SCAN_EVERY }] },
      action: {
        ...{ type: 'startWorkflow', workflowType: 'ledgerScan', workflowId: scheduleId, taskQueue, args: [] },
        // it is no saga: one that hangs gives way to the next
        workflowRunTimeout: '15m',
      },
      policies: { overlap: ScheduleOverlapPolicy.BUFFER_ONE, catchupWindow: '1m' },
      state: { triggerImmediately: true },
    });
  } catch (error) {
    // another worker was faster
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
  }
}
