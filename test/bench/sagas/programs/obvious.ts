import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowExecutionAlreadyStartedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { NativeConnection, Worker } from '@temporalio/worker';
import { openCalls, RefusedError } from './calls.js';
import { finishOrder, placeOrder, readOrder, type Order } from './orders.js';
import { openPool, readPlace, serve } from './serve.js';

// The obvious version on Temporal: an API that starts a workflow, whose every step is a regular activity, and a worker beside it.
// All options are the defaults.

export type Activities = Readonly<
  Record<'place' | 'cancel' | 'deduct' | 'release' | 'debit' | 'finish', (order: Order) => Promise<void>>
>;

const { port, databaseUrl, routes } = readPlace();
const { TEMPORAL_ADDRESS: address, SETTLE_TASK_QUEUE: taskQueue = '' } = process.env;
const pool = openPool(databaseUrl);
const calls = openCalls(routes);

/** A refusal is final; all else is tried again by Temporal's own policy. */
function refusable(call: (order: Order) => Promise<void>): (order: Order) => Promise<void> {
  return async (order) => {
    try {
      await call(order);
    } catch (error) {
      throw error instanceof RefusedError ? ApplicationFailure.nonRetryable(error.message, 'refused') : error;
    }
  };
}

const activities: Activities = {
  place: (order) => placeOrder(pool, order),
  cancel: ({ orderId }) => finishOrder(pool, orderId, 'compensated'),
  deduct: refusable(calls.deduct),
  release: calls.release,
  debit: refusable(calls.debit),
  finish: ({ orderId }) => finishOrder(pool, orderId, 'completed'),
};

const client = new Client({ connection: await Connection.connect({ address }) });
const worker = await Worker.create({
  ...{ connection: await NativeConnection.connect({ address }), taskQueue, activities },
  workflowsPath: fileURLToPath(new URL('./obvious-workflow.js', import.meta.url)),
});
void worker.run();
serve(port, {
  accept: async (request) => {
    const order = readOrder(request);
    const options = { workflowId: order.sagaId, taskQueue, args: [order] };
    await client.workflow.start('placeOrder', options).catch((error: unknown) => {
      if (!(error instanceof WorkflowExecutionAlreadyStartedError)) throw error;
    });
    return order;
  },
});
