import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { pino } from 'pino';
import { createSagaStarter, type SagaStarter, type StartableSaga } from '../../src/api/saga-starter.js';

const SAGA = { id: 'sg_1', type: 'place-order', businessKey: 'o-1', tenantId: 'default' } as StartableSaga;

/** A starter, and what it asks of a Temporal that has a workflow of that id in such a state, or none. */
function starterBeside(found?: { readonly status: string; readonly attempt?: number }): {
  readonly starter: SagaStarter;
  readonly asked: (Partial<WorkflowStartOptions> | string)[];
} {
  const asked: (Partial<WorkflowStartOptions> | string)[] = [];
  const pendingWorkflowTask = found?.attempt === undefined ? undefined : { attempt: found.attempt };
  const client = {
    withDeadline: (_deadline: number, work: () => Promise<unknown>) => work(),
    workflow: {
      start: (type: string, options: WorkflowStartOptions) => {
        const isTaken = found && options.workflowIdReusePolicy === 'REJECT_DUPLICATE';
        if (isTaken) return Promise.reject(new WorkflowExecutionAlreadyStartedError('', options.workflowId, type));
        return Promise.resolve(asked.push(options));
      },
      getHandle: (_id: string, runId?: string) => ({
        describe: () =>
          Promise.resolve({ status: { name: found?.status }, runId: 'run-1', raw: { pendingWorkflowTask } }),
        terminate: () => Promise.resolve(asked.push(`terminate ${runId}`)),
      }),
    },
  } as unknown as Client;
  const starter = createSagaStarter({
    ...{ client, taskQueue: 'settle', workflowOf: () => 'placeOrder', sharesConnection: true },
    logger: pino({ level: 'silent' }),
  });
  return { starter, asked };
}

const open = (): Promise<boolean> => Promise.resolve(true);
const settled = (): Promise<boolean> => Promise.resolve(false);
const ANEW = { workflowIdReusePolicy: 'ALLOW_DUPLICATE' };

test('where the worker shares the process, Temporal is asked to hand the first task over with the start', async () => {
  const { starter, asked } = starterBeside();
  expect(await starter.ensureRunning(SAGA, open)).toBe('started');
  expect(asked[0]).toMatchObject({ requestEagerStart: true });
});

test('a workflow task has the time that Temporal gives it: one that is split does not replay where a signal came first', async () => {
  const { starter, asked } = starterBeside();
  await starter.ensureRunning(SAGA, open);
  expect(asked[0]).not.toHaveProperty('workflowTaskTimeout');
});

test('a workflow that runs is left alone, however its last tasks went', async () => {
  for (const attempt of [undefined, 1, 4]) {
    const { starter, asked } = starterBeside({ status: 'RUNNING', attempt });
    expect(await starter.ensureRunning(SAGA, open)).toBe('running');
    expect(asked).toEqual([]);
  }
});

test('a workflow whose task has failed four times makes room for another, and so does one that has closed', async () => {
  const failing = starterBeside({ status: 'RUNNING', attempt: 5 });
  expect(await failing.starter.ensureRunning(SAGA, open)).toBe('started');
  expect(failing.asked).toEqual(['terminate run-1', expect.objectContaining(ANEW)]);
  const failed = starterBeside({ status: 'FAILED' });
  expect(await failed.starter.ensureRunning(SAGA, open)).toBe('started');
  expect(failed.asked).toEqual([expect.objectContaining(ANEW)]);
});

test('of a saga that has settled no workflow is ended or started', async () => {
  for (const found of [{ status: 'RUNNING', attempt: 5 }, { status: 'FAILED' }]) {
    const { starter, asked } = starterBeside(found);
    expect(await starter.ensureRunning(SAGA, settled)).toBe('settled');
    expect(asked).toEqual([]);
  }
});
