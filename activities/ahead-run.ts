import { log } from '@temporalio/activity';
import type pg from 'pg';
import { advance, completeForward, type Advance, type ForwardAnswer, type ForwardAnswers } from '../src/db/forward.js';
import { applyLocal, type AppliedLocal, type LocalEffect, type OwedMessage } from '../src/db/local-effects.js';
import type { LoggedMessage } from '../src/db/message-log.js';
import type { ContractTable } from '../src/saga/contracts.js';
import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { PlanStep } from '../src/saga/plan.js';
import type { SagaStart } from '../src/saga/state.js';
import { currentPath } from './obtain.js';
import type { Obtained } from './obtained.js';
import type { ActivityDependencies } from './saga-activities.js';
import type { StepAnswers } from './step-answers.js';

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

export interface Tools {
  readonly dependencies: ActivityDependencies;
  readonly contracts: ContractTable;
  readonly ledger: AheadLedger;
  readonly record: StepAnswers;
}

/** A step that was done, whose answer is yet to be recorded. */
export interface Unrecorded {
  readonly answer: ForwardAnswer;
  readonly onRecorded: Obtained['onRecorded'];
}

export interface Run {
  readonly args: AheadArgs;
  readonly definition: SagaDefinition;
  readonly results: Record<string, unknown>;
  readonly slow: string[];
  /** The messages of the next item that count as begun already, by step. */
  begun: ReadonlyMap<string, LoggedMessage>;
  unrecorded: readonly Unrecorded[];
}

/** A step that is needed, and what it sends. */
export interface Needed {
  readonly step: PlanStep;
  readonly payload: unknown;
}

/** Evaluates the author's code, as the workflow would; undefined where it fails or breaks a contract, which the workflow deals with. */
export function neededOf(
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
      // of a step that this release sends as another type, only the workflow knows what to do
      if (code.contract && code.contract.type !== step.action) throw new Error(`'${step.name}' is planned otherwise`);
      if (code.contract && !code.contract.payload.safeParse(payload).success)
        throw new Error(`the payload of '${step.name}' breaks its contract`);
      return [{ step, payload }];
    });
  } catch (error) {
    // here its stack is whole, and not in the sandbox: see workflows/no-stacks.ts
    if (currentPath()) log.warn('a step cannot be run ahead; its workflow deals with it', { error });
    return undefined;
  }
}

/** Records what is to be recorded, and begins the messages that come next. */
export function move({ ledger }: Tools, run: Run, begins: readonly OwedMessage[]): ReturnType<AheadLedger['advance']> {
  const { sagaId, tenantId } = run.args.start;
  return recording(run, (answers) => ledger.advance({ sagaId, tenantId, answers, begins }));
}

export async function recording<T>(run: Run, work: (answers: readonly ForwardAnswer[]) => Promise<T>): Promise<T> {
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
