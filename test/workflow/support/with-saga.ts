import { Client } from '@temporalio/client';
import { NativeConnection, Runtime, Worker, type WorkflowBundleWithSourceMap } from '@temporalio/worker';
import { v7 as uuidv7 } from 'uuid';
import { withQuickAttempts } from '../../../activities/quick-attempts.js';
import { ensureSearchAttributes } from '../../../src/api/temporal.js';
import type { SagaDefinition } from '../../../src/saga/define-saga.js';
import { sagaId } from '../../../src/saga/ids.js';
import type { Operation, OperationAnswer } from '../../../src/saga/operator.js';
import type { SagaEnd, SagaStart } from '../../../src/saga/state.js';
import { bundleSources, quietRuntime } from '../../support/workflow-bundle.js';
import { scriptedActivities, type Attempt, type LedgerScript, type ScriptedActivities } from './scripted-activities.js';

let connection: NativeConnection;
let client: Client;
let bundle: WorkflowBundleWithSourceMap;

beforeAll(async () => {
  quietRuntime();
  const address = process.env.SETTLE_TEST_TEMPORAL_ADDRESS!;
  connection = await NativeConnection.connect({ address });
  client = new Client({ connection });
  await ensureSearchAttributes(client, { address, namespace: 'default', taskQueue: '', uiUrl: '' });
  bundle = await bundleSources('test/workflow/support/sagas.ts');
});

afterAll(async () => {
  await connection.close();
  await Runtime.instance().shutdown();
});

/** What each attempt of an effect comes to, by `<step>/<action>`. */
export type Script = Readonly<Record<string, readonly Attempt[]>>;

/** A saga under way. */
export interface Running {
  readonly sagaId: string;
  readonly activities: ScriptedActivities;
  readonly end: Promise<SagaEnd>;
  /** Sends the signal by which a client takes it back. */
  cancel(): Promise<void>;
  /** Tells it to look in the ledger. */
  tell(): Promise<void>;
  /** Asks Temporal itself to cancel the workflow, as its Web UI does. */
  cancelWorkflow(): Promise<unknown>;
  /** Workflow tasks that failed so far: each costs its saga some ten seconds. */
  failedTasks(): Promise<number>;
  /** The regular activities that were scheduled, by name. */
  scheduled(): Promise<string[]>;
  /** Tells it what an operator has decided, as the API does. */
  operate(change: Partial<Operation> & Pick<Operation, 'action' | 'step'>): Promise<OperationAnswer>;
}

/** Runs a saga on a worker of its own, with activities that follow a script. */
export async function withSaga(
  {
    definition,
    script = {},
    start = {},
    ...ledger
  }: {
    definition: SagaDefinition<never> | SagaDefinition<{ wanted?: boolean }>;
    script?: Script;
    start?: Partial<SagaStart>;
  } & LedgerScript,
  check: (running: Running) => Promise<void>,
): Promise<void> {
  const id = sagaId(uuidv7());
  const activities = scriptedActivities(script, ledger);
  const worker = await workerOf({ sagaId: id, activities }, bundle);
  await worker.runUntil(async () => {
    const input: SagaStart = {
      sagaId: id,
      tenantId: 'default',
      plan: definition.plan,
      input: {},
      acceptedAtMs: Date.now(),
      ...start,
    };
    const handle = await client.workflow.start(definition.workflow, { workflowId: id, taskQueue: id, args: [input] });
    const end = handle.result() as Promise<SagaEnd>;
    // a test that leaves its saga parked does not wait for its end
    end.catch(() => undefined);
    await check({
      sagaId: id,
      activities,
      end,
      cancel: () => handle.signal('cancel', { code: 'cancelled', message: 'changed my mind' }),
      tell: () => handle.signal('news'),
      cancelWorkflow: () => handle.cancel(),
      failedTasks: async () => {
        const { events } = await handle.fetchHistory();
        return (events ?? []).filter(({ workflowTaskFailedEventAttributes: failed }) => failed).length;
      },
      scheduled: async () => {
        const { events } = await handle.fetchHistory();
        return (events ?? []).flatMap(
          ({ activityTaskScheduledEventAttributes: each }) => each?.activityType?.name ?? [],
        );
      },
      operate: ({ action, step, ...change }) => {
        const reason = { code: `test-${action}`, message: 'ann: decided', step };
        const operation: Operation = { actionId: uuidv7(), action, step, reason, ...change };
        return handle.executeUpdate<OperationAnswer, [Operation]>('operate', { args: [operation] });
      },
    });
  });
}

/** Goes on with a saga under another release: a worker of its own, and the workflow replayed from its history. */
export async function underRelease<T>(
  path: string,
  running: Pick<Running, 'sagaId' | 'activities'>,
  check: () => Promise<T>,
): Promise<T> {
  const worker = await workerOf(running, await bundleSources(path));
  return worker.runUntil(check);
}

async function workerOf(
  { sagaId: taskQueue, activities }: Pick<Running, 'sagaId' | 'activities'>,
  workflowBundle: WorkflowBundleWithSourceMap,
): Promise<Worker> {
  const { log: _, attempts: __, reasons: ___, payloads: ____, traces: _____, ...ports } = activities;
  return Worker.create({
    connection,
    taskQueue,
    workflowBundle,
    activities: { ...withQuickAttempts(ports) },
  });
}
