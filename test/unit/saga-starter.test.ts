import type { Client, WorkflowStartOptions } from '@temporalio/client';
import { pino } from 'pino';
import { createSagaStarter, type StartableSaga } from '../../src/api/saga-starter.js';

/** What Temporal is asked when the workflow of a saga is started. */
async function startedWith(): Promise<WorkflowStartOptions> {
  const asked: WorkflowStartOptions[] = [];
  const client = {
    withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
    workflow: { start: (_workflow: string, options: WorkflowStartOptions) => Promise.resolve(asked.push(options)) },
  } as unknown as Client;
  const starter = createSagaStarter({
    ...{ client, taskQueue: 'settle', workflowOf: () => 'placeOrder', sharesConnection: true },
    logger: pino({ level: 'silent' }),
  });
  const saga = { id: 'sg_1', type: 'place-order', businessKey: 'o-1', tenantId: 'default' } as StartableSaga;
  await starter.ensureRunning(saga, () => Promise.resolve(true));
  await starter.stop();
  return asked[0]!;
}

test('where the worker shares the process, Temporal is asked to hand the first task over with the start', async () => {
  expect(await startedWith()).toMatchObject({ requestEagerStart: true });
});

test('a workflow task has the time that Temporal gives it: one that is split does not replay where a signal came first', async () => {
  expect(await startedWith()).not.toHaveProperty('workflowTaskTimeout');
});
