import { WorkflowExecutionAlreadyStartedError, type Client, type WorkflowStartOptions } from '@temporalio/client';
import { pino } from 'pino';
import { createHalfMessageStarter, type HalfMessageStarter } from '../../src/api/half-message-starter.js';
import { createSagaStarter, type SagaStarter, type StartableSaga } from '../../src/api/saga-starter.js';
import type { DueHalfMessage } from '../../src/db/half-messages.js';
import { eventually } from '../support/eventually.js';

const HALF = {
  messageId: 'msg_1',
  tenantId: 'default',
  type: 'note',
  verdict: 'committed',
  isTold: false,
} as DueHalfMessage;
const SAGA = { id: 'sg_1', type: 'place-order', businessKey: 'o-1', tenantId: 'default' } as StartableSaga;

/** A starter, and what it asks of a Temporal that has a workflow of that id in such a state, or none. */
function starterBeside(found?: { readonly status: string; readonly attempt?: number }): {
  readonly starter: SagaStarter;
  readonly halves: HalfMessageStarter;
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
        signal: (name: string, said: string) => Promise.resolve(asked.push(`${name} ${said}`)),
      }),
    },
  } as unknown as Client;
  const common = { client, taskQueue: 'settle', logger: pino({ level: 'silent' }) };
  return {
    starter: createSagaStarter({ ...common, workflowOf: () => 'placeOrder', sharesConnection: true }),
    halves: createHalfMessageStarter(common),
    asked,
  };
}

const open = (): Promise<boolean> => Promise.resolve(true);
const settled = (): Promise<boolean> => Promise.resolve(false);
const ANEW = { workflowIdReusePolicy: 'ALLOW_DUPLICATE' };

test('where the worker shares the process, Temporal is asked to hand the first task over with the start', async () => {
  const { starter, asked } = starterBeside();
  expect(await starter.ensureRunning(SAGA, open)).toBe('started');
  expect(asked[0]).toMatchObject({ requestEagerStart: true });
});

test('a saga whose type is not of this release is not started and logged, and nothing is thrown at who wants it started', async () => {
  const warned: string[] = [];
  const logger = pino({ level: 'warn' }, { write: (line: string) => void warned.push(line) });
  const unknown = (): never => {
    throw new Error('no such type');
  };
  const client = {} as Client;
  const starter = createSagaStarter({
    client,
    taskQueue: 'settle',
    workflowOf: unknown,
    sharesConnection: false,
    logger,
  });
  for (let n = 0; n < 70; n += 1) starter.startSoon(SAGA);
  await eventually(() => expect(warned).toHaveLength(70));
  expect(warned[0]).toContain('no such type');
});

test('a workflow task has the time that Temporal gives it: one that is split does not replay where a signal came first', async () => {
  const { starter, asked } = starterBeside();
  await starter.ensureRunning(SAGA, open);
  expect(asked[0]).not.toHaveProperty('workflowTaskTimeout');
});

test('a workflow that runs is left alone, however its last tasks went', async () => {
  for (const attempt of [undefined, 1, 9]) {
    const { starter, asked } = starterBeside({ status: 'RUNNING', attempt });
    expect(await starter.ensureRunning(SAGA, open)).toBe('running');
    expect(asked).toEqual([]);
  }
});

test('a workflow whose task has failed nine times makes room for another, and so does one that has closed', async () => {
  const failing = starterBeside({ status: 'RUNNING', attempt: 10 });
  expect(await failing.starter.ensureRunning(SAGA, open)).toBe('started');
  expect(failing.asked).toEqual(['terminate run-1', expect.objectContaining(ANEW)]);
  const failed = starterBeside({ status: 'FAILED' });
  expect(await failed.starter.ensureRunning(SAGA, open)).toBe('started');
  expect(failed.asked).toEqual([expect.objectContaining(ANEW)]);
});

test('of a saga that has settled no workflow is ended or started', async () => {
  for (const found of [{ status: 'RUNNING', attempt: 10 }, { status: 'FAILED' }]) {
    const { starter, asked } = starterBeside(found);
    expect(await starter.ensureRunning(SAGA, settled)).toBe('settled');
    expect(asked).toEqual([]);
  }
});

test('a half message whose workflow runs is told its verdict while it may not have heard of it; one that cannot go on makes room', async () => {
  const running = starterBeside({ status: 'RUNNING', attempt: 1 });
  expect(await running.halves.ensureRunning(HALF, open)).toBe('running');
  expect(await running.halves.ensureRunning({ ...HALF, isTold: true }, open)).toBe('running');
  expect(running.asked).toEqual(['verdict committed']);
  const failing = starterBeside({ status: 'RUNNING', attempt: 10 });
  expect(await failing.halves.ensureRunning(HALF, open)).toBe('started');
  expect(failing.asked).toEqual(['terminate run-1', expect.objectContaining(ANEW)]);
});
