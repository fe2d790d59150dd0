import { readFileSync } from 'node:fs';
import type { Client, WorkflowExecutionInfo } from '@temporalio/client';
import { DefaultLogger, Runtime, Worker } from '@temporalio/worker';
import type { ReplayFailure, WorkflowRun } from './evidence.js';

/** What Temporal holds of a run. */
export interface TemporalEvidence {
  readonly workflows: readonly WorkflowRun[];
  readonly replays: readonly ReplayFailure[];
}

// replaying starts a worker for each run, which would tell its life
Runtime.install({ logger: new DefaultLogger('WARN') });

type History = Awaited<ReturnType<ReturnType<Client['workflow']['getHandle']>['fetchHistory']>>;

interface Fetched {
  readonly workflowId: string;
  readonly history: History;
}

/**
 * Reads every run of a task queue and replays each history on the bundle.
 *
 * @param codePath the workflow bundle that the workers ran
 */
export async function collectTemporal(client: Client, taskQueue: string, codePath: string): Promise<TemporalEvidence> {
  const runs: WorkflowRun[] = [];
  const histories: Fetched[] = [];
  // the scan goes on for ever
  const query = `TaskQueue = '${taskQueue}' and WorkflowType != 'ledgerScan'`;
  for await (const info of client.workflow.list({ query })) {
    const history = await client.workflow.getHandle(info.workflowId, info.runId).fetchHistory();
    histories.push({ workflowId: info.workflowId, history });
    runs.push(describeRun(info, history));
  }
  return { workflows: runs, replays: await replay(histories, codePath) };
}

/**
 * `WORKFLOW_WORKER_UNHANDLED_FAILURE` and `NON_DETERMINISTIC_ERROR` of Temporal's API; others are everyday matters, e.g. a
 * signal that arrives while a workflow task completes.
 */
const OUR_FAULT: ReadonlySet<number> = new Set([14, 24]);

/** The history decides: visibility lags behind. */
function describeRun(info: WorkflowExecutionInfo, history: History): WorkflowRun {
  const events = history.events ?? [];
  const completed = events.find((event) => event.workflowExecutionCompletedEventAttributes);
  const payload = completed?.workflowExecutionCompletedEventAttributes?.result?.payloads?.[0]?.data;
  // a workflow that returns nothing has one without data
  const result = payload?.length
    ? (JSON.parse(Buffer.from(payload).toString('utf8')) as { outcome?: string })
    : undefined;
  const failedTasks = events.flatMap(({ workflowTaskFailedEventAttributes: failed }) =>
    failed && OUR_FAULT.has(failed.cause ?? 0) ? (failed.failure?.message ?? 'without a message') : [],
  );
  return {
    workflowId: info.workflowId,
    runId: info.runId,
    status: completed ? 'COMPLETED' : info.status.name,
    outcome: result?.outcome,
    failedTasks,
  };
}

async function replay(histories: readonly Fetched[], codePath: string): Promise<ReplayFailure[]> {
  const failures: ReplayFailure[] = [];
  const options = { workflowBundle: { code: readFileSync(codePath, 'utf8') } };
  for await (const result of Worker.runReplayHistories(options, histories)) {
    if (result.error) failures.push({ workflowId: result.workflowId, error: result.error.message });
  }
  return failures;
}
