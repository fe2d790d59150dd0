import { condition, continueAsNew, defineSignal, defineUpdate, setHandler, workflowInfo } from '@temporalio/workflow';
import type { Reason } from '../src/saga/errors.js';
import type { Operation, OperationAnswer } from '../src/saga/operator.js';
import {
  afterCheck,
  findHorizonEnd,
  NO_CHECKS,
  waitBeforeCheck,
  type CheckProgress,
  type HalfMessageEnd,
  type HalfMessageStart,
  type Verdict,
} from '../src/saga/half-message.js';
import { PERSISTENT_RETRY } from '../src/saga/retry.js';
import { call, readFailure } from './saga-calls.js';
import { checkActivity } from './half-message-calls.js';
import { showDetails, showState } from './saga-visibility.js';

/** Tells the verdict that stands in the ledger; it is written there before it is told. */
export const tellVerdict = defineSignal<[Verdict]>('verdict');

/** Tells a parked message what an operator has decided; the ledger holds it already. */
export const operateMessage = defineUpdate<OperationAnswer, [Operation]>('operate');

interface Run {
  readonly start: HalfMessageStart;
  verdict: Verdict | null;
  isParked: boolean;
  /** The ids of the actions heard of; each lets it go on. */
  readonly heard: Set<string>;
  /** How an operator has ended it, without a delivery of ours. */
  endedAs?: 'delivered' | 'discarded';
}

/**
 * The workflow of a half message: waits for its producer's verdict, asks for it when it does not come, then delivers or drops it.
 * What nobody decides within the horizon, or nobody accepts, is parked and waits for a person; it is never discarded.
 */
export async function halfMessage(start: HalfMessageStart): Promise<HalfMessageEnd> {
  const run: Run = { start, verdict: start.verdict, isParked: false, heard: new Set() };
  setHandler(tellVerdict, (verdict) => void (run.verdict ??= verdict));
  setHandler(operateMessage, (operation) => operate(run, operation));
  const verdict = await awaitVerdict(run);
  if (verdict === 'committed') await deliver(run);
  return { messageId: start.messageId, state: verdict === 'committed' ? (run.endedAs ?? 'delivered') : 'rolled-back' };
}

/** Takes an operator's decision. One that comes before the workflow has heard that it is parked counts for that parking. */
function operate(run: Run, { actionId, action }: Operation): OperationAnswer {
  if (run.heard.has(actionId)) return 'repeated';
  run.heard.add(actionId);
  if (action === 'confirm') run.verdict ??= 'committed';
  if (action === 'skip') run.endedAs = 'delivered';
  if (action === 'discard' && run.verdict === 'committed') run.endedAs = 'discarded';
  if (action === 'discard') run.verdict ??= 'rolled-back';
  return run.isParked ? 'resumed' : 'noted';
}

async function awaitVerdict(run: Run): Promise<Verdict> {
  const { plan, preparedAtMs } = run.start;
  let progress = run.start.progress ?? NO_CHECKS;
  // the first wait counts from the preparation, which may be some time ago
  let leftMs = waitBeforeCheck(plan, progress) - (run.start.progress ? 0 : Date.now() - preparedAtMs);
  for (;;) {
    if (await hasVerdict(run, leftMs)) return run.verdict!;
    const { verdict, isAnswered } = await checkActivity(plan.timeoutMs).checkBack({
      messageId: run.start.messageId,
      timeoutMs: plan.timeoutMs,
    });
    run.verdict ??= verdict;
    if (run.verdict) return run.verdict;
    progress = await afterSilence(run, afterCheck(progress, isAnswered, waitBeforeCheck(plan, progress)));
    leftMs = waitBeforeCheck(plan, progress);
    if (workflowInfo().continueAsNewSuggested) await goOnAnew(run, progress);
  }
}

async function hasVerdict(run: Run, withinMs: number): Promise<boolean> {
  if (run.verdict !== null) return true;
  return withinMs > 0 && (await condition(() => run.verdict !== null, withinMs));
}

/** Past the horizon the message is parked; a retry, or a verdict that comes late, begins anew. */
async function afterSilence(run: Run, progress: CheckProgress): Promise<CheckProgress> {
  const reason = findHorizonEnd(run.start.plan, progress);
  if (!reason) return progress;
  await park(run, reason, () => run.verdict !== null);
  return NO_CHECKS;
}

/** A verdict that was told meanwhile goes along: the signal itself does not. */
async function goOnAnew(run: Run, progress: CheckProgress): Promise<void> {
  await continueAsNew<typeof halfMessage>({ ...run.start, verdict: run.verdict, progress });
}

async function deliver(run: Run): Promise<void> {
  const { messageId, type } = run.start;
  for (;;) {
    try {
      await call({ activity: 'deliver', args: { messageId }, retry: PERSISTENT_RETRY, summary: type });
      return;
    } catch (error) {
      const failure = readFailure(error, 'message');
      if (failure.kind === 'unknown' && failure.isCancelled) throw error;
      await park(run, failure.reason, () => run.endedAs !== undefined);
      if (run.endedAs) return;
    }
  }
}

/** Waits, parked, until an operator decides or the wait is over by itself. */
async function park(run: Run, reason: Reason, isOver: () => boolean): Promise<void> {
  const { messageId } = run.start;
  const seen = run.heard.size;
  const args = { messageId, reason, verdict: run.verdict };
  const standing = await call({ activity: 'parkMessage', args, retry: PERSISTENT_RETRY, summary: 'parked' });
  run.verdict ??= standing;
  if (isOver()) return;
  showState('parked', 'message');
  showDetails(`parked: ${reason.message}`);
  run.isParked = true;
  await condition(() => run.heard.size > seen || isOver());
  run.isParked = false;
  showState('running');
  showDetails('');
}
