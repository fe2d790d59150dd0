import { CancellationScope } from '@temporalio/workflow';
import type { Reason } from '../src/saga/errors.js';
import type { PlanStep } from '../src/saga/plan.js';
import { call, readFailure } from './saga-calls.js';
import { enterState, park, SettledElsewhere, type SagaRun } from './saga-run.js';

/**
 * Takes back whatever may have been applied: groups in reverse order, the members of a group at the same time.
 * It cannot be cancelled, and an undo that fails for good parks the saga; no failure is swallowed.
 *
 * @returns why the saga compensates: the first reason that the ledger recorded
 * @throws SettledElsewhere when a person has ended the saga
 */
export async function compensate(run: SagaRun, reason: Reason): Promise<Reason> {
  return CancellationScope.nonCancellable(async () => {
    const recorded = (await enterState(run, 'compensating', { reason })) ?? reason;
    for (const group of run.undoStack.toReversed()) {
      await Promise.all(group.map((step) => undoStep(run, step)));
    }
    return recorded;
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
  const { sagaId, tenantId, input } = run.start;
  const effect = { sagaId, step: step.name, action: 'undo' } as const;
  const common = { retry: step.undoRetry, summary: `undo ${step.name}: ${step.undo ?? ''}` };
  if (step.type === 'local') {
    const args = {
      effect,
      tenantId,
      work: step.undo!,
      input,
      results: run.results,
      saga: run.definition.type,
      owes: [],
    };
    await call({ activity: 'runLocal', args, ...common });
  } else {
    // the ledger holds the payload of its `do`, which is what has to be taken back
    await call({
      activity: 'dispatch',
      args: { effect, tenantId, type: step.undo!, saga: run.definition.type },
      ...common,
    });
  }
}
