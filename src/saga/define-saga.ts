import type { ZodType } from 'zod';
import { checkPlan } from './check-plan.js';
import { milliseconds, type Duration } from './duration.js';
import { SagaDefinitionError } from './errors.js';
import { isStepName } from './ids.js';
import type { LocalRef } from './local-work.js';
import type { MessageContract } from './message-contract.js';
import type { Plan, PlanGroup, PlanStep, StepKind } from './plan.js';
import { FORWARD_RETRY, PERSISTENT_RETRY, retryPolicy, type RetryOptions } from './retry.js';

/** What a payload builder or guard may read: the saga's input and the results of the steps before. */
export type Scope<Input, Results> = Readonly<Results> & { readonly input: Input };

/** Builds a message's payload; pure and deterministic, it runs in the workflow. */
export type PayloadBuilder<Input, Results, Payload> = (scope: Scope<Input, Results>) => Payload;

/** The code behind one step of a plan. */
export interface StepCode {
  readonly payload?: (scope: never) => unknown;
  readonly when?: (scope: never) => boolean;
  readonly contract?: MessageContract<never, unknown>;
}

/** A definition: the plan for new sagas, and the code that plans, old and new, refer to by step name. */
export interface SagaDefinition<Input = unknown> {
  /** The saga type, e.g. `place-order`. */
  readonly type: string;
  /** The workflow function's name, `placeOrder` for `place-order`: what the Temporal Web UI shows. */
  readonly workflow: string;
  readonly input: ZodType<Input>;
  readonly businessKey: (input: Input) => string;
  readonly plan: Plan;
  readonly code: ReadonlyMap<string, StepCode>;
}

export interface SagaOptions<Input> {
  readonly input: ZodType<Input>;
  /** What people call this saga, e.g. the order id: searchable, not unique. */
  readonly businessKey: (input: Input) => string;
  /** From acceptance; then the saga compensates, unless it has passed its pivot. @default none */
  readonly deadline?: Duration;
}

export interface StepOptions<Input, Results> {
  /**
   * Whether the step is needed; a skipped step has no result. It is part of the workflow's code: once released it never changes,
   * or sagas in flight could not be replayed; retire the step and add one under a new name instead. @default always
   */
  readonly when?: (scope: Scope<Input, Results>) => boolean;
  readonly kind?: StepKind;
  readonly retry?: RetryOptions;
  /** How its undo is tried. @default for a day, at most 20 s apart */
  readonly undoRetry?: RetryOptions;
  /** Kept only for sagas accepted by an earlier release: new plans do not contain it. @default false */
  readonly retired?: boolean;
}

/** The result that a step adds to the scope: perhaps absent when it has a guard. */
type Added<Name extends string, Result, Options> = Options extends { when: unknown }
  ? { readonly [K in Name]?: Result }
  : { readonly [K in Name]: Result };

/** A name that no earlier step has. */
type Fresh<Name extends string, Results> = Name extends keyof Results | 'input' ? never : Name;

/** Adds steps one after the other; each sees the results of those before it. */
export interface SagaBuilder<Input, Results> {
  /** A local transaction: business rows and the messages owed commit together. */
  local<Name extends string, Result, Options extends LocalOptions<Input, Results>>(
    name: Name & Fresh<Name, Results>,
    work: LocalRef<Input, Result>,
    options?: Options,
  ): SagaBuilder<Input, Results & Added<Name, Result, Options>>;
  /** A message to a participant; its undo comes with its contract. */
  message<Name extends string, Payload, Result, Options extends StepOptions<Input, Results>>(
    name: Name & Fresh<Name, Results>,
    contract: MessageContract<Payload, Result>,
    payload: PayloadBuilder<Input, Results, NoInfer<Payload>>,
    options?: Options,
  ): SagaBuilder<Input, Results & Added<Name, Result, Options>>;
  /** Message steps that run at the same time; none sees another's result. They are undone at the same time. */
  parallel<Members>(
    group: (group: GroupBuilder<Input, Results, unknown>) => GroupBuilder<Input, Results, Members>,
  ): SagaBuilder<Input, Results & Members>;
  /**
   * Checks the whole and freezes the plan.
   *
   * @throws SagaDefinitionError that names the step
   */
  build(): SagaDefinition<Input>;
}

export interface GroupBuilder<Input, Results, Members> {
  message<Name extends string, Payload, Result, Options extends StepOptions<Input, Results>>(
    name: Name & Fresh<Name, Results & Members>,
    contract: MessageContract<Payload, Result>,
    payload: PayloadBuilder<Input, Results, NoInfer<Payload>>,
    options?: Options,
  ): GroupBuilder<Input, Results, Members & Added<Name, Result, Options>>;
}

export interface LocalOptions<Input, Results> extends StepOptions<Input, Results> {
  readonly undo?: LocalRef<Input, unknown>;
}

/**
 * Defines a saga: what happens, in which order, and how each step is taken back.
 *
 * @param type kebab-case, data: never renamed once released
 * @throws SagaDefinitionError at `build()` when the definition cannot be kept
 * @example
 * defineSaga('place-order', { input: PlaceOrder, businessKey: (order) => order.orderId, deadline: '15m' })
 *   .local('order', orders.place, { undo: orders.cancel })
 *   .message('stock', inventory.deduct, ({ input, order }) => ({ orderId: order.orderId, items: input.items }))
 *   .build();
 */
export function defineSaga<Input>(type: string, options: SagaOptions<Input>): SagaBuilder<Input, unknown> {
  return builder({ type, options: options as SagaOptions<unknown>, items: [], code: new Map() }) as SagaBuilder<
    Input,
    unknown
  >;
}

interface Draft {
  readonly type: string;
  readonly options: SagaOptions<unknown>;
  readonly items: readonly (PlanStep | PlanGroup)[];
  readonly code: ReadonlyMap<string, StepCode>;
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

type Policies = Pick<PlanStep, 'retry' | 'undoRetry'>;

const failing =
  (type: string, name: string) =>
  (problem: string): Error =>
    new SagaDefinitionError(type, name, problem);

function policies(kind: StepKind, options: AnyOptions | undefined, fail: (problem: string) => Error): Policies {
  try {
    return {
      retry: retryPolicy(options?.retry, kind === 'retriable' ? PERSISTENT_RETRY : FORWARD_RETRY),
      undoRetry: retryPolicy(options?.undoRetry, PERSISTENT_RETRY),
    };
  } catch (error) {
    throw fail((error as Error).message);
  }
}

function build({ type, options, items, code }: Draft): SagaDefinition {
  if (!/^[a-z][a-z0-9-]{0,62}$/.test(type))
    throw new SagaDefinitionError(type, undefined, 'is not a saga type; write lower-case kebab');
  const plan: Plan = { saga: type, deadlineMs: deadlineOf(type, options.deadline), items };
  checkPlan(plan);
  return Object.freeze({
    type,
    workflow: type.replace(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase()),
    input: options.input,
    businessKey: options.businessKey,
    plan: deepFreeze(plan),
    code,
  });
}

function deadlineOf(type: string, deadline: Duration | undefined): number | undefined {
  if (deadline === undefined) return undefined;
  try {
    return milliseconds(deadline);
  } catch (cause) {
    throw new SagaDefinitionError(type, undefined, `the deadline ${(cause as Error).message}`);
  }
}

function deepFreeze<T extends object>(value: T): T {
  for (const member of Object.values(value)) {
    if (typeof member === 'object' && member !== null) deepFreeze(member as object);
  }
  return Object.freeze(value);
}
