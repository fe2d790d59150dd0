import { setTimeout as pause } from 'node:timers/promises';
import { activityInfo, ApplicationFailure } from '@temporalio/activity';
import { HELD_BACK, STILL_WORKING } from './failures.js';

/** Before the second and the third attempt, in ms: most troubles of a moment are over by then. */
const PAUSES_MS = [50, 150];

/** A failure that took longer is no matter of a moment: it would hold up the sagas behind it, which share the worker's slots. */
export const QUICK_MS = 500;

/**
 * Gives every activity its quick attempts on the fast path, where it runs as a local activity.
 * They are made here and not by the local activity's own retry policy: a timer that the SDK leaves behind for each of those
 * attempts makes it panic when the worker stops soon after.
 */
export function withQuickAttempts<Activities extends object>(activities: Activities): Activities {
  const entries = Object.entries(activities) as [string, (args: object) => Promise<unknown>][];
  return Object.fromEntries(
    entries.map(([name, activity]) => [name, (args: object) => attempt(() => activity(args))]),
  ) as unknown as Activities;
}

async function attempt(activity: () => Promise<unknown>): Promise<unknown> {
  for (const pauseMs of activityInfo().isLocal ? PAUSES_MS : []) {
    const begunAt = Date.now();
    try {
      return await activity();
    } catch (error) {
      if (isLasting(error) || Date.now() - begunAt > QUICK_MS) throw error;
      await pause(pauseMs);
    }
  }
  return activity();
}

/** What has to wait: a participant that has asked for time, or one that nothing is sent to now. */
const WAITING: readonly string[] = [STILL_WORKING, HELD_BACK];

/** Whether trying again at once is of no use, as when an answer is final. */
function isLasting(error: unknown): boolean {
  return error instanceof ApplicationFailure && (error.nonRetryable === true || WAITING.includes(error.type ?? ''));
}
