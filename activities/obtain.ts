import { activityInfo, CompleteAsyncError, type Info } from '@temporalio/activity';
import type pg from 'pg';
import { awaitReply, findAsked } from '../src/db/replies.js';
import type { Envelope } from '../src/saga/envelope.js';
import type { Path } from '../src/transports/bulkheads.js';
import type { Router } from '../src/transports/router.js';
import { answerIn } from './known-answer.js';
import { obtained, type Obtained } from './obtained.js';
import type { OpenActivities } from './open-activities.js';
import { createReplyDesk, type Expectation, type ReplyDesk } from './reply-desk.js';
import { silence } from './silence.js';

/** What messages are sent with, and answers obtained. */
export interface Obtaining {
  readonly pool: pg.Pool;
  readonly router: Router;
  /** Where answers come that a broker brings. @default nobody brings any */
  readonly desk?: ReplyDesk;
  /** What activities are left open with until their answer comes. @default none are: they wait */
  readonly openActivities?: OpenActivities;
}

/** One attempt of a message. */
export interface Sending {
  readonly envelope: Envelope;
  /** The attempt, in ms. */
  readonly timeoutMs: number;
  /** How long the answer to one sending is waited for before it is sent again, over several attempts, in ms. @default timeoutMs */
  readonly patienceMs?: number;
  /** What is left of the wait for an earlier attempt's answer, in ms: then nothing is sent. @default 0 */
  readonly awaitedMs?: number;
  /** @default as the route says */
  readonly fireAndForget?: boolean;
}

/**
 * Sends a message once and waits in this process for what comes of it: the transport's answer, or the one that a broker brings.
 * No answer in time is `unknown`: it may have been applied.
 */
export async function obtain(dependencies: Obtaining, sending: Sending): Promise<Obtained> {
  return withExpectation(dependencies, sending, (expectation, leftMs) =>
    waitHere(dependencies, sending, { expectation, leftMs }),
  );
}

/**
 * The same from an activity. One on the durable path holds no place of its worker's while a broker's answer is under way: it is left
 * open, and completed by whichever worker that answer reaches.
 *
 * @throws CompleteAsyncError when it is left open
 */
export async function obtainInActivity(dependencies: Obtaining, sending: Sending): Promise<Obtained> {
  const { openActivities } = dependencies;
  const activity = currentActivity();
  if (!openActivities || !activity || activity.isLocal) return obtain(dependencies, sending);
  return withExpectation(dependencies, sending, (expectation, leftMs) =>
    leaveOpen({ ...dependencies, openActivities }, sending, { expectation, leftMs, activity }),
  );
}

interface Wait {
  readonly expectation: Expectation;
  readonly leftMs: number;
}

async function withExpectation(
  { router, desk = NOBODY }: Obtaining,
  { envelope, timeoutMs, patienceMs = timeoutMs, awaitedMs = 0, fireAndForget }: Sending,
  whenAccepted: (expectation: Expectation, leftMs: number) => Promise<Obtained>,
): Promise<Obtained> {
  // an answer may be faster than the broker's confirmation
  const expectation = desk.expect(envelope);
  try {
    const outcome =
      awaitedMs > 0
        ? ({ kind: 'accepted', leftMs: Math.min(awaitedMs, timeoutMs) } as const)
        : await router.send(envelope, timeoutMs, { fireAndForget, isShort: timeoutMs < patienceMs });
    if (outcome.kind === 'accepted') return await whenAccepted(expectation, outcome.leftMs);
    // one that was not confirmed may have been answered all the same
    return (outcome.kind === 'unknown' ? expectation.early : undefined) ?? obtained(outcome);
  } finally {
    expectation.end();
  }
}

const NOBODY = createReplyDesk();

async function waitHere({ pool }: Obtaining, sending: Sending, { expectation, leftMs }: Wait): Promise<Obtained> {
  const { envelope, timeoutMs, patienceMs = timeoutMs, awaitedMs = 0 } = sending;
  const { effectKey, revision } = envelope;
  const note = (forMs: number): Promise<boolean> => awaitReply(pool, { effectKey, revision, forMs });
  let came = await expectation.answer(leftMs);
  const restMs = (awaitedMs > 0 ? awaitedMs : patienceMs) - leftMs;
  const isNotedNow = !came && restMs > 0;
  if (isNotedNow) {
    await note(restMs);
    // by now it may be here: left to lie it would come again, and its message be sent again
    came = expectation.early;
  }
  // it asks for time: then it is asked again, not waited for
  if (came && (isNotedNow || awaitedMs > 0)) await orGiveBack(came, note(0));
  return came ?? obtained(silence(envelope, leftMs));
}

/** What is taken and cannot be handed on is not recorded: it must come again. */
async function orGiveBack({ onRecorded }: Obtained, work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    onRecorded(false);
    throw error;
  }
}

type LeftOpen = Wait & { readonly activity: Info };

async function leaveOpen(
  { pool, openActivities }: Obtaining & { readonly openActivities: OpenActivities },
  { envelope }: Sending,
  { expectation, leftMs, activity }: LeftOpen,
): Promise<Obtained> {
  if (leftMs === 0) return expectation.early ?? obtained(silence(envelope, leftMs));
  const { effectKey, revision } = envelope;
  const { workflowId, runId } = activity.workflowExecution!;
  const by = { workflowId, runId, activityId: activity.activityId };
  const isOpen = await awaitReply(pool, { effectKey, revision, forMs: leftMs, by });
  const early = expectation.early;
  if (early) return early;
  // another worker has recorded it before this one could say who waits
  if (!isOpen) return obtained(answerIn(await findAsked(pool, effectKey), revision) ?? silence(envelope, leftMs));
  openActivities.leave({ envelope, leftMs, taskToken: activity.taskToken });
  throw new CompleteAsyncError();
}

/** Whose slot the activity holds that runs here; undefined outside of a worker. */
export function currentPath(): Path | undefined {
  const activity = currentActivity();
  return activity && (activity.isLocal ? 'fast' : 'durable');
}

/** Undefined outside of a worker: whoever calls then waits. */
function currentActivity(): Info | undefined {
  try {
    return activityInfo();
  } catch {
    // the SDK has no other way of asking
    return undefined;
  }
}
