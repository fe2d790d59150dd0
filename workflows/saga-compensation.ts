import { CancellationScope } from '@temporalio/workflow';
import type { Reason } from '../src/saga/errors.js';
import { stepsOf, type PlanStep } from '../src/saga/plan.js';
import type { StateRecord } from '../src/saga/state.js';
import { call, readFailure } from './saga-calls.js';
import { enterState, park, SettledElsewhere, type SagaRun } from './saga-run.js';
import { undoChild } from './saga-waits.js';

/**
 * Takes back whatever may have been applied: groups in reverse order, the members of a group at the same time.
 * It cannot be cancelled, and an undo that fails for good parks the saga; no failure is swallowed.
 * What was begun is the union of what this run knows and what the ledger knows: either alone may miss a step.
 *
 * @returns what the ledger said to it; nothing was undone where it must go forward
 * @throws SettledElsewhere when the saga has ended in the ledger
 */
export async function compensate(run: SagaRun, reason: Reason): Promise<StateRecord> {
  return CancellationScope.nonCancellable(async () => {
    const recorded = await enterState(run, 'compensating', { reason });
    if (recorded.mustGoForward) return recorded;
    const begun = new Set([...run.undoStack.flat().map(({ name }) => name), ...(recorded.begun ?? [])]);
    for (const item of run.start.plan.items.toReversed()) {
      const steps = stepsOf(item).filter(({ name, undo }) => undo !== undefined && begun.has(name));
      await Promise.all(steps.map((step) => undoStep(run, step)));
    }
    return { ...recorded, reason: recorded.reason ?? reason };
  });
}

async function undoStep(run: SagaRun, step: PlanStep): Promise<void> {
  for (;;) {
    try {
      await callUndo(run, step);
      return;
    } catch (error) {
      const failure = readFailure(error, step.name);
      if (failure.kind === 'settled') throw new SettledElsewhere(failure.outcome, failure.reason);
      await park(run, { step: step.name, action: 'undo', reason: failure.reason });
    }
  }
}

async function callUndo(run: SagaRun, step: PlanStep): Promise<void> {
  const { sagaId, tenantId, input, traceparent } = run.start;
  const target = {
    effect: { sagaId, step: step.name, action: 'undo' } as const,
    tenantId,
    saga: run.definition.type,
  };
  if (step.type === 'child') return undoChild(run, step);
  const common = { retry: step.undoRetry, summary: `undo ${step.name}: ${step.undo ?? ''}` };
  if (step.type === 'local') {
    const args = {
      ...target,
      work: step.undo!,
      input,
      results: run.results,
      owes: [],
    };
    await call({ activity: 'runLocal', args, ...common });
  } else {
    // the ledger holds the payload of its `do`, which is what has to be taken back
    await call({
      activity: 'dispatch',
      args: { ...target, traceparent, type: step.undo! },
      ...common,
    });
  }
}
