import { CompleteAsyncError } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { FencedError, ParkedError, RejectedError, RetryableError, type Reason } from '../src/saga/errors.js';
import type { HeldBack } from '../src/transports/router.js';

/** The type of failure of a participant that has asked for time. */
export const STILL_WORKING = 'StillWorking';
/** The types of failure of an attempt that was held back before it began: for a while, or perhaps for a moment only. */
export const HELD_BACK = 'HeldBack';
const HELD_UP = 'HeldUp';

/** The three classes of errors, in Temporal's words: what is final says so, everything else is tried again. */
export function toFailure(error: unknown): Error {
  // none has happened: the answer completes the activity
  if (error instanceof CompleteAsyncError || error instanceof ApplicationFailure) return error;
  if (error instanceof RejectedError || error instanceof ParkedError) {
    return finalFailure(error.name, { code: error.code, message: error.message }, error);
  }
  if (error instanceof FencedError) return fencedFailure(error);
  const cause = error instanceof Error ? error : new Error(String(error));
  const nextRetryDelay = error instanceof RetryableError ? error.retryAfterMs : undefined;
  return ApplicationFailure.create({ message: cause.message, type: cause.name, cause, nextRetryDelay });
}

/** A participant that answered `working`: it leaves the fast path at once and is asked again when it has said. */
export function stillWorking(type: string, retryAfterMs: number | undefined): ApplicationFailure {
  const message = `'${type}' is still being worked on`;
  return ApplicationFailure.create({ message, type: STILL_WORKING, nextRetryDelay: retryAfterMs });
}

/**
 * An attempt that must wait for its participant, and is not counted: unless it is for a moment it leaves the fast path at once.
 *
 * @param maxWaitMs Temporal gives an activity up at once when it is told to wait longer than its budget
 */
export function heldBack(type: string, held: HeldBack, maxWaitMs = Infinity): ApplicationFailure {
  return ApplicationFailure.create({
    message: `'${type}' is held back: ${held.reason}`,
    type: held.isBrief ? HELD_UP : HELD_BACK,
    nextRetryDelay: Math.min(held.retryAfterMs, maxWaitMs),
  });
}

function finalFailure(type: string, reason: Reason, cause: Error): ApplicationFailure {
  return ApplicationFailure.create({ message: reason.message, type, nonRetryable: true, details: [reason], cause });
}

/** The second detail says how the saga has settled, if it has. */
function fencedFailure(error: FencedError): ApplicationFailure {
  const details = error.settledAs === undefined ? [error.reason] : [error.reason, error.settledAs];
  return ApplicationFailure.create({
    message: error.reason.message,
    type: error.name,
    nonRetryable: true,
    details,
    cause: error,
  });
}
