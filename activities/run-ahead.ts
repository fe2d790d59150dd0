import type pg from 'pg';
import { advance, completeForward, type Advance, type ForwardAnswer, type ForwardAnswers } from '../src/db/forward.js';
import { applyLocal, type AppliedLocal, type LocalEffect, type OwedMessage } from '../src/db/local-effects.js';
import type { LoggedMessage } from '../src/db/message-log.js';
import { contractsOf, type ContractTable } from '../src/saga/contracts.js';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { OutcomeKind } from '../src/saga/outcome.js';
import { owedAfter, stepsOf, turningPoint, type PlanStep } from '../src/saga/plan.js';
import type { SagaStart } from '../src/saga/state.js';
import { envelopeOf } from './dispatch.js';
import { obtain } from './obtain.js';
import { settle, type Obtained } from './obtained.js';
import { QUICK_MS } from './quick-attempts.js';
import { owedMessages } from './run-local.js';
import type { ActivityDependencies, SagaActivities } from './saga-activities.js';
import { checked, createStepAnswers, type StepAnswers } from './step-answers.js';

/** A saga that is to run ahead. */
export interface AheadArgs {
  readonly start: SagaStart;
  /** The saga type. */
  readonly saga: string;
  /** No step is begun later than so many ms from now. */
  readonly forMs: number;
  /** One attempt, in ms. */
  readonly attemptMs: number;
}

/** How far it has come. */
export interface AheadEnd {
  /** How many items of the plan are done, each step of them done or not needed. */
  readonly items: number;
  /** Of the steps done, by name. */
  readonly results: Readonly<Record<string, unknown>>;
  /** The steps that were tried, and that are not worth another quick attempt: they have asked for time, or taken long. */
  readonly slow: readonly string[];
  /** Whether the saga has completed with them. */
  readonly isCompleted: boolean;
}

/** What running ahead asks of the ledger. */
export interface AheadLedger {
  applyLocal(local: LocalEffect): Promise<AppliedLocal>;
  advance(move: Advance): Promise<ReadonlyMap<string, LoggedMessage> | undefined>;
  complete(done: ForwardAnswers): Promise<boolean>;
}

/** The ledger behind a pool. */
export function aheadLedger(pool: pg.Pool): AheadLedger {
  return {
    applyLocal: (local) => applyLocal(pool, local),
    advance: (move) => advance(pool, move),
    complete: (done) => completeForward(pool, done),
  };
}

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
    const run: Run = { args, definition, results: {}, slow: [], begun: NONE, unrecorded: [] };
    const { items, isCompleted } = await runItems(tools, run);
    return { items, results: run.results, slow: run.slow, isCompleted };
  };
}

interface Tools {
  readonly dependencies: ActivityDependencies;
  readonly contracts: ContractTable;
  readonly ledger: AheadLedger;
  readonly record: StepAnswers;
}

/** A step that was done, whose answer is yet to be recorded. */
interface Unrecorded {
  readonly answer: ForwardAnswer;
  readonly onRecorded: Obtained['onRecorded'];
}

interface Run {
  readonly args: AheadArgs;
  readonly definition: SagaDefinition;
  readonly results: Record<string, unknown>;
  readonly slow: string[];
  /** The messages of the next item that count as begun already, by step. */
  begun: ReadonlyMap<string, LoggedMessage>;
  unrecorded: readonly Unrecorded[];
}

/** A step that is needed, and what it sends. */
interface Needed {
  readonly step: PlanStep;
  readonly payload: unknown;
}

async function runItems(tools: Tools, run: Run): Promise<Pick<AheadEnd, 'items' | 'isCompleted'>> {
  const { start, forMs } = run.args;
  const { plan, parent } = start;
  const endsAt = performance.now() + forMs;
  // a saga that is a step of another holds there
  const last = parent ? turningPoint(plan) : plan.items.length;
  let items = 0;
  try {
    while (items < last && performance.now() < endsAt && (await runItem(tools, run, items))) items += 1;
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

/** Evaluates the author's code, as the workflow would; undefined where it fails or breaks a contract, which the workflow deals with. */
function neededOf(
  { args, definition }: Run,
  steps: readonly PlanStep[],
  results: Readonly<Record<string, unknown>>,
): readonly Needed[] | undefined {
  const scope = { ...results, input: args.start.input } as never;
  try {
    return steps.flatMap((step) => {
      const code = definition.code.get(step.name);
      if (!code) throw new Error(`this release has no code for '${step.name}'`);
      if (code.when && !code.when(scope)) return [];
      const payload = code.payload?.(scope);
      if (code.contract && !code.contract.payload.safeParse(payload).success)
        throw new Error(`the payload of '${step.name}' breaks its contract`);
      return [{ step, payload }];
    });
  } catch {
    return undefined;
  }
}

/** Runs a local transaction; the messages of the item behind it count as begun with its commit. */
async function runLocal(
  tools: Tools,
  run: Run,
  { step, index }: { readonly step: PlanStep; readonly index: number },
): Promise<boolean> {
  const { start, saga } = run.args;
  const { sagaId, tenantId, input } = start;
  const work = tools.dependencies.localWorks.get(step.action);
  if (!work) return false;
  if (run.unrecorded.length > 0 && !(await move(tools, run, []))) return false;
  const context = { sagaId, tenantId, input: input as never, results: run.results };
  const effect = { sagaId, step: step.name, action: 'do' } as const;
  const target = { effect, tenantId, work: step.action, saga, input };
  try {
    const applied = await tools.ledger.applyLocal({
      ...{ effect, tenantId, work: (tx) => work(tx, context) },
      owes: (result) => {
        const args = { ...target, results: run.results, owes: owedAfter(start.plan, step) };
        const owed = owedMessages(args, result, (name) => run.definition.code.get(name));
        const next = nextSteps(run, index, { ...run.results, [step.name]: result });
        return owed.map((message) => ({ ...message, isBegun: next.has(message.step) }));
      },
    });
    run.results[step.name] = applied.result;
    run.begun = applied.begun;
    return true;
  } catch {
    // a refusal is in the ledger, and whatever else it was may be over when the workflow tries again
    return false;
  }
}

/** The steps of the next item, where all of them are messages that can be sent. */
function nextSteps(run: Run, index: number, results: Readonly<Record<string, unknown>>): ReadonlySet<string> {
  const item = run.args.start.plan.items[index + 1];
  const steps = item ? stepsOf(item) : [];
  const needed = steps.every(({ type }) => type === 'message') ? neededOf(run, steps, results) : undefined;
  return new Set(needed?.map(({ step }) => step.name));
}

/** Sends the messages of an item, each once; returns whether all were answered well. */
async function sendAll(tools: Tools, run: Run, needed: readonly Needed[]): Promise<boolean> {
  const begins = needed
    .filter(({ step }) => !run.begun.has(step.name))
    .map(({ step, payload }) => ({ step: step.name, type: step.action, payload }));
  const moved = begins.length > 0 ? await move(tools, run, begins) : NONE;
  const messages = moved && new Map([...run.begun, ...moved]);
  run.begun = NONE;
  if (!messages) return false;
  const sendings = needed.map(async ({ step }) => {
    const begunAt = performance.now();
    // one that the ledger has failed is the workflow's; the others' answers are recorded all the same
    const kind = await sendOnce(tools, run, step, messages.get(step.name)!).catch(() => 'unknown' as const);
    if (kind === 'working' || (kind !== 'done' && performance.now() - begunAt > QUICK_MS)) run.slow.push(step.name);
    return kind === 'done';
  });
  return (await Promise.all(sendings)).every(Boolean);
}

const NONE: ReadonlyMap<string, LoggedMessage> = new Map();

/** Sends a message once; what was not done is recorded at once, what was is with the saga's next move. */
async function sendOnce(
  { dependencies, contracts, record }: Tools,
  run: Run,
  step: PlanStep,
  message: LoggedMessage,
): Promise<OutcomeKind> {
  const { start, saga, attemptMs } = run.args;
  if (message.status === 'sent') {
    run.results[step.name] = message.result;
    return 'done';
  }
  if (message.awaitedMs > 0) return 'working';
  if (message.status !== 'pending') return 'unknown';
  const effect = { sagaId: start.sagaId, step: step.name, action: 'do' } as const;
  const { revision, type } = message;
  const contract = contracts.get(type);
  const { answer, onRecorded } = await obtain(dependencies, {
    envelope: envelopeOf({ ...start, effect, saga }, message),
    timeoutMs: Math.min(attemptMs, step.retry.timeoutMs),
    patienceMs: step.retry.timeoutMs,
    fireAndForget: contract?.fireAndForget ?? false,
  });
  const given = checked(answer, 'do', contract);
  if (given.kind === 'done') {
    const { result } = given;
    run.results[step.name] = result;
    run.unrecorded = [...run.unrecorded, { answer: { step: step.name, revision, result }, onRecorded }];
    return 'done';
  }
  await settle({ answer, onRecorded }, (final) =>
    record({ effect, revision, type, maxWaitMs: step.retry.capMs }, final),
  );
  return given.kind;
}

/** Records what is to be recorded, and begins the messages that come next. */
function move({ ledger }: Tools, run: Run, begins: readonly OwedMessage[]): ReturnType<AheadLedger['advance']> {
  const { sagaId, tenantId } = run.args.start;
  return recording(run, (answers) => ledger.advance({ sagaId, tenantId, answers, begins }));
}

async function recording<T>(run: Run, work: (answers: readonly ForwardAnswer[]) => Promise<T>): Promise<T> {
  const { unrecorded } = run;
  run.unrecorded = [];
  let isRecorded = false;
  try {
    const answer = await work(unrecorded.map((each) => each.answer));
    isRecorded = true;
    return answer;
  } finally {
    for (const { onRecorded } of unrecorded) onRecorded(isRecorded);
  }
}
