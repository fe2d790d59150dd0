import { Client, type WorkflowHandle } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { v7 } from 'uuid';
import type { RepairActivities } from '../../activities/repairs.js';
import { repairId } from '../../src/saga/repair.js';
import { bundleSources } from './workflow-bundle.js';

/** A repair's workflow under way. */
export interface RunningRepair {
  readonly handle: WorkflowHandle;
  /** What its activity was called with. */
  readonly calls: { readonly limit: number }[];
}

/** When the workflow tasks began in which its activity was scheduled, in ms since the epoch on Temporal's clock. */
export async function beginnings(handle: WorkflowHandle): Promise<readonly number[]> {
  const { events = [] } = await handle.fetchHistory();
  let taskMs = 0;
  return (events ?? []).flatMap((event) => {
    const { seconds, nanos } = event.eventTime!;
    if (event.workflowTaskStartedEventAttributes) taskMs = Number(seconds) * 1_000 + Number(nanos) / 1e6;
    return event.activityTaskScheduledEventAttributes ? [taskMs] : [];
  });
}

/** Runs the workflow of a repair whose activity answers as told; the last answer stays. */
export async function withRepair(
  { answers, perSecond }: { readonly answers: readonly (boolean | Error)[]; readonly perSecond: number },
  check: (running: RunningRepair) => Promise<void>,
): Promise<void> {
  const connection = await NativeConnection.connect({ address: process.env.SETTLE_TEST_TEMPORAL_ADDRESS! });
  const id = repairId(v7());
  const calls: RunningRepair['calls'] = [];
  const activities: RepairActivities = {
    repairItems: ({ limit }) => {
      const answer = answers[Math.min(calls.length, answers.length - 1)]!;
      calls.push({ limit });
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
  const worker = await Worker.create({
    ...{ connection, taskQueue: id, workflowBundle: await bundleSources() },
    activities: { ...activities },
  });
  try {
    await worker.runUntil(async () => {
      const start = { workflowId: id, taskQueue: id, args: [{ repairId: id, tenantId: 'default', perSecond }] };
      await check({ handle: await new Client({ connection }).workflow.start('repair', start), calls });
    });
  } finally {
    await connection.close();
  }
}
