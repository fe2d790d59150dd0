import { ActivityNotFoundError, type AsyncCompletionClient } from '@temporalio/client';
import type pg from 'pg';
import { findAsked, type AwaitingActivity } from '../src/db/replies.js';
import type { Envelope } from '../src/saga/envelope.js';
import type { Answers } from './answers.js';
import type { Ended } from './obtained.js';
import { silence } from './silence.js';

/** An attempt that waits for an answer without a place of its worker's. */
export interface OpenAttempt {
  readonly envelope: Envelope;
  /** Then it has failed, in ms. */
  readonly leftMs: number;
  /** Of this attempt: a later one is not failed by it. */
  readonly taskToken: Uint8Array;
}

/** Activities that are open until an answer comes, or their attempt's time is over. */
export interface OpenActivities {
  /** Fails an attempt when its time is over and there is no answer. Should this process die, Temporal's own time-out does. */
  leave(attempt: OpenAttempt): void;
  /** Ends an activity that waits for what has been recorded; one that no longer waits finds it in the ledger. */
  end(activity: AwaitingActivity, ended: Ended): Promise<void>;
  stop(): void;
}

export interface OpenActivitiesOptions {
  readonly pool: pg.Pool;
  readonly record: Answers;
  readonly completion: Pick<AsyncCompletionClient, 'complete' | 'fail'>;
  readonly logger: { warn(fields: object, message: string): void };
}

/** Makes the open activities of one process. */
export function createOpenActivities({ pool, record, completion, logger }: OpenActivitiesOptions): OpenActivities {
  const timers = new Set<NodeJS.Timeout>();
  const warn = (err: unknown, effectKey: string): void => {
    if (err instanceof ActivityNotFoundError) return;
    logger.warn({ err, effectKey }, 'an activity is not told of its answer; its next attempt finds it in the ledger');
  };
  const giveUp = async ({ envelope, leftMs, taskToken }: OpenAttempt): Promise<void> => {
    const { effectKey, revision, type } = envelope;
    const asked = await findAsked(pool, effectKey);
    // it has been answered meanwhile, here or elsewhere
    if (asked?.revision === revision && asked.state !== 'open') return;
    const ended = await record({ effectKey, revision, type }, silence(envelope, leftMs));
    if (!ended.isDone) await completion.fail(taskToken, ended.failure);
  };
  return {
    leave: (attempt) => {
      const timer = setTimeout(() => {
        timers.delete(timer);
        void giveUp(attempt).catch((err: unknown) => warn(err, attempt.envelope.effectKey));
      }, attempt.leftMs);
      timers.add(timer);
    },
    end: async (activity, ended) => {
      const done = ended.isDone
        ? completion.complete(activity, ended.result)
        : completion.fail(activity, ended.failure);
      await done.catch((err: unknown) => warn(err, activity.workflowId));
    },
    stop: () => timers.forEach((timer) => clearTimeout(timer)),
  };
}
