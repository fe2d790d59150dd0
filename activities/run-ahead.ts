import { contractsOf } from '../src/saga/contracts.js';
import { stepsOf, turningPoint } from '../src/saga/plan.js';
import { aheadLedger, move, neededOf, recording, type AheadEnd, type Run, type Tools } from './ahead-run.js';
import { runLocal, sendAll } from './ahead-steps.js';
import type { ActivityDependencies, SagaActivities } from './saga-activities.js';
import { createStepAnswers } from './step-answers.js';

/**
 * Runs the healthy steps of a saga one after the other, and completes it: what costs a workflow task is done once, not for each step.
 * Each step is recorded before the next begins, in the transaction that begins it. It stops at the first step that is not done at
 * once, is neither local nor a message, or fails in the definition's code, and leaves that one to the workflow, which finds in the
 * ledger what has been done: nothing is retried, undone or parked here.
 */
export function createRunAhead(dependencies: ActivityDependencies): SagaActivities['runAhead'] {
  const { definitions, pool } = dependencies;
  const contracts = contractsOf(definitions);
  const types = new Map(definitions.map((definition) => [definition.type, definition]));
  const tools: Tools = {
    ...{ dependencies, contracts, ledger: dependencies.ahead ?? aheadLedger(pool) },
    record: createStepAnswers(pool, contracts),
  };
  return async (args) => {
    const definition = types.get(args.saga);
    if (!definition) return { items: 0, results: {}, slow: [], isCompleted: false };
    const run: Run = { args, definition, results: {}, slow: [], begun: new Map(), unrecorded: [] };
    const { items, isCompleted } = await runItems(tools, run);
    return { items, results: run.results, slow: run.slow, isCompleted };
  };
}

/** The results travel in one payload, of which Temporal takes 2 MiB; each may have 64 KiB. */
const MOST_STEPS = 24;

async function runItems(tools: Tools, run: Run): Promise<Pick<AheadEnd, 'items' | 'isCompleted'>> {
  const { start, forMs } = run.args;
  const { plan, parent } = start;
  const endsAt = performance.now() + forMs;
  // a saga that is a step of another holds there
  const last = parent ? turningPoint(plan) : plan.items.length;
  let items = 0;
  try {
    while (items < last && fits(run, items) && performance.now() < endsAt && (await runItem(tools, run, items)))
      items += 1;
    if (items < last || parent) return { items, isCompleted: false };
    return { items, isCompleted: await recording(run, (answers) => tools.ledger.complete({ ...start, answers })) };
  } finally {
    if (run.unrecorded.length > 0) await move(tools, run, []);
  }
}

/** Runs the steps of one item at the same time; returns whether all are done. */
async function runItem(tools: Tools, run: Run, index: number): Promise<boolean> {
  const item = run.args.start.plan.items[index]!;
  const needed = neededOf(run, stepsOf(item), run.results);
  if (!needed) return false;
  const [first, ...others] = needed;
  if (!first) return true;
  if (first.step.type === 'local' && others.length === 0) return runLocal(tools, run, { step: first.step, index });
  if (needed.every(({ step }) => step.type === 'message')) return sendAll(tools, run, needed);
  return false;
}

function fits({ args, results }: Run, index: number): boolean {
  return Object.keys(results).length + stepsOf(args.start.plan.items[index]!).length <= MOST_STEPS;
}
