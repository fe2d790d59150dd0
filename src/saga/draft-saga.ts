import { checkPlan } from './check-plan.js';
import type {
  ChildOptions,
  LocalOptions,
  SagaBuilder,
  SagaDefinition,
  SagaOptions,
  StepCode,
  WaitOptions,
} from './define-saga.js';
import { milliseconds, type Duration } from './duration.js';
import { SagaDefinitionError } from './errors.js';
import { isStepName, workflowNameOf } from './ids.js';
import { whyNotExpress } from './lane.js';
import type { LocalRef } from './local-work.js';
import type { MessageContract } from './message-contract.js';
import { allSteps, stepsOf, turningPoint, type Plan, type PlanGroup, type PlanStep, type StepKind } from './plan.js';
import { FORWARD_RETRY, PERSISTENT_RETRY, retryPolicy, type RetryPolicy } from './retry.js';
import { forwardSpanMs, undoSpanMs } from './windows.js';

/** What `defineSaga` promises, without its types: a builder that adds to a draft and checks it when it is built. */
export function draftSaga(type: string, options: SagaOptions<unknown>): SagaBuilder<unknown, unknown> {
  return builder({ type, options, items: [], code: new Map() });
}

interface Draft {
  readonly type: string;
  readonly options: SagaOptions<unknown>;
  readonly items: readonly (PlanStep | PlanGroup)[];
  readonly code: ReadonlyMap<string, StepCode>;
  readonly returns?: Returns;
}

interface Returns {
  readonly output: (scope: never) => unknown;
  /** How many items come before it. */
  readonly position: number;
}

interface DraftStep {
  readonly step: PlanStep;
  readonly code: StepCode;
  readonly retired: boolean;
}

type AnyOptions = LocalOptions<never, never>;

type LocalArguments = [name: string, work: LocalRef, options?: AnyOptions];
type MessageArguments = [
  name: string,
  contract: MessageContract<never>,
  payload: (scope: never) => unknown,
  options?: AnyOptions,
];
type WaitArguments = [name: string, options: WaitOptions<never, never, unknown>];
type ChildArguments = [
  name: string,
  definition: SagaDefinition<never>,
  input: (scope: never) => unknown,
  options?: ChildOptions<never, never>,
];
type Arrange = (steps: PlanStep[]) => (PlanStep | PlanGroup)[];

function builder(draft: Draft): SagaBuilder<unknown, unknown> {
  const add = (drafts: readonly DraftStep[], arrange: Arrange): unknown => builder(extend(draft, drafts, arrange));
  return {
    local: (...step: LocalArguments) => add([localStep(draft.type, step)], (steps) => steps),
    message: (...step: MessageArguments) => add([messageStep(draft.type, step)], (steps) => steps),
    parallel: (group: (empty: never) => unknown) => {
      const members = (group(groupBuilder(draft.type, []) as never) as { members: readonly DraftStep[] }).members;
      return add(members, (steps) => (steps.length === 0 ? [] : [{ parallel: steps }]));
    },
    wait: (...step: WaitArguments) => add([waitStep(draft, step)], (steps) => steps),
    child: (...step: ChildArguments) => add([childStep(draft.type, step)], (steps) => steps),
    returns: (output: Returns['output']) => builder({ ...draft, returns: { output, position: draft.items.length } }),
    build: () => build(draft),
  } as unknown as SagaBuilder<unknown, unknown>;
}

function groupBuilder(type: string, members: readonly DraftStep[]): object {
  return {
    members,
    message: (...step: MessageArguments) => groupBuilder(type, [...members, messageStep(type, step)]),
  };
}

function extend(draft: Draft, drafts: readonly DraftStep[], arrange: Arrange): Draft {
  const code = new Map(draft.code);
  for (const { step, code: behind } of drafts) {
    if (!isStepName(step.name) || step.name === 'input') {
      throw new SagaDefinitionError(
        draft.type,
        step.name,
        "is not a step name; write lower-case kebab, and not 'input'",
      );
    }
    if (code.has(step.name))
      throw new SagaDefinitionError(draft.type, step.name, 'is defined twice; give each step its own name');
    code.set(step.name, behind);
  }
  const planned = drafts.filter(({ retired }) => !retired).map(({ step }) => step);
  return { ...draft, code, items: [...draft.items, ...arrange(planned)] };
}

function localStep(type: string, [name, work, options]: LocalArguments): DraftStep {
  const undo = options?.undo?.local;
  const kind = options?.kind ?? (undo === undefined ? 'retriable' : 'compensatable');
  return {
    step: { name, type: 'local', kind, action: work.local, undo, ...policies(kind, options, failing(type, name)) },
    code: { when: options?.when },
    retired: options?.retired ?? false,
  };
}

function messageStep(type: string, [name, contract, payload, options]: MessageArguments): DraftStep {
  const undo = contract.undo?.type;
  const kind = options?.kind ?? contract.kind ?? (undo === undefined ? 'retriable' : 'compensatable');
  const retry = { ...contract.retry, ...options?.retry };
  if (contract.fireAndForget && kind === 'pivot')
    throw failing(type, name)('is fire-and-forget, so nothing can refuse it; it is no pivot, leave its kind out');
  return {
    step: {
      name,
      type: 'message',
      kind,
      action: contract.type,
      undo,
      ...policies(kind, { ...options, retry }, failing(type, name)),
    },
    code: { when: options?.when, payload, contract },
    retired: options?.retired ?? false,
  };
}

/** What comes after a step that cannot be taken back can only be waited for: its timeout parks instead of compensating. */
function waitStep({ type, items }: Draft, [name, { event, timeout, when, retired }]: WaitArguments): DraftStep {
  const isFinal = items.some((item) => stepsOf(item).some(({ kind }) => kind !== 'compensatable'));
  return {
    step: {
      ...{ name, type: 'wait', kind: isFinal ? 'retriable' : 'compensatable', action: event.name },
      timeoutMs: guarded(() => timeoutOf(timeout), failing(type, name)),
      ...LEDGER_ONLY,
    },
    code: { when, event },
    retired: retired ?? false,
  };
}

function childStep(type: string, [name, { type: saga, plan }, payload, options]: ChildArguments): DraftStep {
  const fail = failing(type, name);
  const pivot = allSteps(plan).find(({ kind }) => kind === 'pivot');
  if (pivot) throw fail(`runs '${saga}', whose pivot '${pivot.name}' may be refused when this saga has completed`);
  if (turningPoint(plan) === 0) throw fail(`runs '${saga}', which can do nothing before this saga has completed`);
  return {
    step: {
      ...{ name, type: 'child', kind: 'compensatable', action: saga, undo: saga },
      retry: lasting(forwardSpanMs(plan)),
      undoRetry: lasting(undoSpanMs(plan)),
    },
    code: { when: options?.when, payload },
    retired: options?.retired ?? false,
  };
}

/** Waiting asks nobody but the ledger. */
const LEDGER_ONLY: Policies = { retry: PERSISTENT_RETRY, undoRetry: PERSISTENT_RETRY };

/** A child takes its time, which its parent's participants must remember it for. */
function lasting(spanMs: number): RetryPolicy {
  return { ...PERSISTENT_RETRY, budgetMs: Math.max(PERSISTENT_RETRY.budgetMs, spanMs) };
}

function timeoutOf(timeout: Duration): number {
  const timeoutMs = milliseconds(timeout);
  if (timeoutMs === 0) throw new RangeError('timeout must be longer than 0 ms');
  return timeoutMs;
}

type Policies = Pick<PlanStep, 'retry' | 'undoRetry'>;

const failing =
  (type: string, name: string) =>
  (problem: string): Error =>
    new SagaDefinitionError(type, name, problem);

function policies(kind: StepKind, options: AnyOptions | undefined, fail: (problem: string) => Error): Policies {
  return guarded(
    () => ({
      retry: retryPolicy(options?.retry, kind === 'retriable' ? PERSISTENT_RETRY : FORWARD_RETRY),
      undoRetry: retryPolicy(options?.undoRetry, PERSISTENT_RETRY),
    }),
    fail,
  );
}

function guarded<T>(work: () => T, fail: (problem: string) => Error): T {
  try {
    return work();
  } catch (error) {
    throw fail((error as Error).message);
  }
}

function build({ type, options, items, code, returns }: Draft): SagaDefinition {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(type))
    throw new SagaDefinitionError(type, undefined, 'is not a saga type; write lower-case kebab');
  const plan: Plan = { saga: type, deadlineMs: deadlineOf(type, options.deadline), items };
  checkPlan(plan);
  if (returns && returns.position > turningPoint(plan))
    throw new SagaDefinitionError(
      type,
      undefined,
      'returns comes after a step that cannot be taken back; move it before',
    );
  const lane = options.lane ?? 'workflow';
  const obstacle = lane === 'express' ? whyNotExpress({ plan, code }) : undefined;
  if (obstacle !== undefined) throw new SagaDefinitionError(type, undefined, obstacle);
  return Object.freeze({
    type,
    workflow: workflowNameOf(type),
    input: options.input,
    businessKey: options.businessKey,
    plan: deepFreeze(plan),
    lane,
    code,
    ...(returns && { returns: returns.output }),
  });
}

function deadlineOf(type: string, deadline: Duration | undefined): number | undefined {
  const fail = (problem: string): Error => new SagaDefinitionError(type, undefined, `the deadline ${problem}`);
  return deadline === undefined ? undefined : guarded(() => milliseconds(deadline), fail);
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member as object);
  }
  return Object.freeze(value);
}
