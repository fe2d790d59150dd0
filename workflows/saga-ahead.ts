import { CancellationScope, proxyLocalActivities } from '@temporalio/workflow';
import type { AheadEnd } from '../activities/ahead-run.js';
import type { SagaActivities } from '../activities/saga-activities.js';
import { canBeUndone, stepsOf } from '../src/saga/plan.js';
import { FAST_TIMEOUT_MS } from './saga-calls.js';
import type { SagaRun } from './saga-run.js';

/** Steps that begin later have each their own place in the history: a workflow task must not take long. */
const AHEAD_MS = 1_000;
/** What the last attempt and the ledger need beyond that. */
const MARGIN_MS = 4_500;

const { runAhead } = proxyLocalActivities<SagaActivities>({
  startToCloseTimeout: AHEAD_MS + MARGIN_MS,
  // the quick attempts are the activity's own: see activities/quick-attempts.ts
  retry: { maximumAttempts: 1 },
  summary: 'the healthy steps',
});

/**
 * Lets the saga's healthy steps run in one local activity: of a healthy saga, all of them, and its end. The run takes over what they
 * have done; the workflow goes on behind it step by step.
 *
 * @param leftMs until the deadline
 * @returns how many items of the plan are done
 */
export async function goAhead(run: SagaRun, leftMs: number): Promise<number> {
  const { start, definition } = run;
  // sent forward again it has run ahead already
  if (run.hasPassedPivot) return 0;
  const end = await CancellationScope.nonCancellable(() =>
    runAhead({ start, saga: definition.type, forMs: Math.min(AHEAD_MS, leftMs), attemptMs: FAST_TIMEOUT_MS }),
  ).catch(() => undefined);
  // what it has done is in the ledger, and each step finds it there
  if (!end) return 0;
  takeOver(run, end);
  return end.items;
}

function takeOver(run: SagaRun, { items, results, slow, isCompleted }: AheadEnd): void {
  for (const item of run.start.plan.items.slice(0, items)) {
    const done = stepsOf(item).filter(({ name }) => name in results);
    for (const { name } of done) run.results[name] = results[name];
    run.undoStack.push(done.filter(canBeUndone));
    if (done.some(({ kind }) => kind !== 'compensatable')) run.hasPassedPivot = true;
  }
  for (const name of slow) run.slowSteps.add(name);
  run.isCompleted = isCompleted;
}
