import { randomUUID } from 'node:crypto';
import { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { eventually } from '../support/eventually.js';
import { bundleSources, quietRuntime } from '../support/workflow-bundle.js';

test('no stacks are written down in the workflows’ sandbox, as each of their promises would have one', async () => {
  quietRuntime();
  const connection = await NativeConnection.connect({ address: process.env.SETTLE_TEST_TEMPORAL_ADDRESS! });
  const taskQueue = randomUUID();
  const worker = await Worker.create({ connection, taskQueue, workflowBundle: await bundleSources() });
  try {
    await worker.runUntil(async () => {
      // without its input its code throws
      const options = { taskQueue, workflowId: taskQueue, args: [] };
      const workflow = await new Client({ connection }).workflow.start('placeOrder', options);
      try {
        const failure = await eventually(async () => {
          const { events } = await workflow.fetchHistory();
          return events!.find((event) => event.workflowTaskFailedEventAttributes)!.workflowTaskFailedEventAttributes!
            .failure!;
        });
        expect(failure.message).toContain('undefined');
        expect(failure.stackTrace).not.toContain(' at ');
      } finally {
        await workflow.terminate();
      }
    });
  } finally {
    await connection.close();
  }
});
