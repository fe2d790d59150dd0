import { setTimeout as pause } from 'node:timers/promises';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import type { ApplicationFailure } from '@temporalio/common';
import { withQuickAttempts } from '../../activities/quick-attempts.js';
import type { DispatchArgs, SagaActivities } from '../../activities/saga-activities.js';

/** A worker's slots, as Temporal has them: what finds none waits for its turn. */
interface Slots {
  run<T>(work: () => Promise<T>): Promise<T>;
}

function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let taken = 0;
  return {
    run: async (work) => {
      if (taken >= count) await new Promise<void>((resolve) => waiting.push(resolve));
      else taken += 1;
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else taken -= 1;
      }
    },
  };
}

const SILENT = new DefaultLogger('ERROR', () => undefined);
/** A test that has ended leaves nobody trying. */
const MOST_ATTEMPTS = 50;

/** Runs an attempt as a worker would. */
function attempt(dispatch: SagaActivities['dispatch'], args: DispatchArgs, path: 'fast' | 'durable'): Promise<unknown> {
  const worker = new MockActivityEnvironment({ isLocal: path === 'fast' }, { logger: SILENT });
  return worker.run(withQuickAttempts({ dispatch }).dispatch, args);
}

/**
 * The slots of a worker without its Temporal: a message is first tried in one of those of workflow tasks, where it keeps all others
 * waiting, and then in those of activities until it is done.
 */
export function createWorkerSlots(dispatch: SagaActivities['dispatch']): (args: DispatchArgs) => Promise<unknown> {
  const [fast, durable] = [createSlots(32), createSlots(100)];
  return async (args) => {
    let failure: ApplicationFailure;
    try {
      return await fast.run(() => attempt(dispatch, args, 'fast'));
    } catch (error) {
      failure = error as ApplicationFailure;
    }
    for (let n = 0; n < MOST_ATTEMPTS; n += 1) {
      try {
        return await durable.run(() => attempt(dispatch, args, 'durable'));
      } catch (error) {
        failure = error as ApplicationFailure;
        await pause(Number(failure.nextRetryDelay ?? 1_000));
      }
    }
    throw failure;
  };
}
