import type { Client, WorkflowStartOptions } from '@temporalio/client';
import { pino } from 'pino';
import { createSagaStarter, type StartableSaga } from '../../src/api/saga-starter.js';

/** What Temporal is asked when the workflow of a saga is started. */
async function startedWith(how: { readonly isAnsweredAtOnce: boolean }): Promise<WorkflowStartOptions> {
  const asked: WorkflowStartOptions[] = [];
  const client = {
    withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
    workflow: { start: (_workflow: string, options: WorkflowStartOptions) => Promise.resolve(asked.push(options)) },
  } as unknown as Client;
  const starter = createSagaStarter({
    ...{ client, taskQueue: 'settle', workflowOf: () => 'placeOrder', sharesConnection: true },
    isAnsweredAtOnce: () => how.isAnsweredAtOnce,
    logger: pino({ level: 'silent' }),
  });
  const saga = { id: 'sg_1', type: 'place-order', businessKey: 'o-1', tenantId: 'default' } as StartableSaga;
  await starter.ensureRunning(saga, () => Promise.resolve(true));
  await starter.stop();
  return asked[0]!;
}

test('where the worker shares the process, Temporal is asked to hand the first task over with the start', async () => {
  expect(await startedWith({ isAnsweredAtOnce: true })).toMatchObject({ requestEagerStart: true });
});

test('what a dead worker was at is soon the next one’s, where nobody would be asked twice for it', async () => {
  expect(await startedWith({ isAnsweredAtOnce: true })).toMatchObject({ workflowTaskTimeout: '3s' });
  expect(await startedWith({ isAnsweredAtOnce: false })).not.toHaveProperty('workflowTaskTimeout');
});
