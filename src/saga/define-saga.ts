import type { ZodType } from 'zod';
import { draftSaga } from './draft-saga.js';
import type { Duration } from './duration.js';
import type { EventContract } from './event-contract.js';
import type { Lane } from './lane.js';
import type { LocalRef } from './local-work.js';
import type { MessageContract } from './message-contract.js';
import type { Plan, StepKind } from './plan.js';
import type { RetryOptions } from './retry.js';

/** What a payload builder or guard may read: the saga's input and the results of the steps before. */
export type Scope<Input, Results> = Readonly<Results> & { readonly input: Input };

/** Builds a message's payload; pure and deterministic, it runs in the workflow. */
export type PayloadBuilder<Input, Results, Payload> = (scope: Scope<Input, Results>) => Payload;

/** The code behind one step of a plan. */
export interface StepCode {
  readonly payload?: (scope: never) => unknown;
  readonly when?: (scope: never) => boolean;
  readonly contract?: MessageContract<never, unknown>;
  readonly event?: EventContract;
}

/** A definition: the plan for new sagas, and the code that plans, old and new, refer to by step name. */
export interface SagaDefinition<Input = unknown, Output = unknown> {
  /** The saga type, e.g. `place-order`. */
  readonly type: string;
  /** The workflow function's name, `placeOrder` for `place-order`: what the Temporal Web UI shows. */
  readonly workflow: string;
  readonly input: ZodType<Input>;
  readonly businessKey: (input: Input) => string;
  readonly plan: Plan;
  /** How its new sagas run, unless they are a step of another: those are run by that one's workflow. */
  readonly lane: Lane;
  readonly code: ReadonlyMap<string, StepCode>;
  /** What it tells the saga that it is a step of; absent: nothing. */
  readonly returns?: (scope: never) => Output;
}

export interface SagaOptions<Input> {
  readonly input: ZodType<Input>;
  /** What people call this saga, e.g. the order id: searchable, not unique. */
  readonly businessKey: (input: Input) => string;
  /** From acceptance; then the saga compensates, unless it has passed its pivot. @default none */
  readonly deadline?: Duration;
  /**
   * `express`: the process that accepts a saga runs its local step in the transaction of its acceptance, and then its messages, with
   * no workflow. At the first sign of trouble, or when that process dies, a workflow takes over from what the ledger records; every
   * promise holds. For sagas of local and message steps that are short and nearly always succeed: each that does not costs both
   * lanes. A message whose payload needs another message's result, and every step that cannot be taken back, costs a transaction
   * more. May change with any release, also while sagas are in flight. @default 'workflow'
   */
  readonly lane?: Lane;
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

/** What a saga waits for, and for how long. */
export interface WaitOptions<Input, Results, Body> extends Pick<StepOptions<Input, Results>, 'when' | 'retired'> {
  readonly event: EventContract<Body>;
  /** From the moment the step is reached; then the saga compensates, or parks when it can no longer. */
  readonly timeout: Duration;
}

/** The result that a step adds to the scope: perhaps absent when it has a guard. */
type Added<Name extends string, Result, Options> = Options extends { when: unknown }
  ? { readonly [K in Name]?: Result }
  : { readonly [K in Name]: Result };

/** A name that no earlier step has. */
type Fresh<Name extends string, Results> = Name extends keyof Results | 'input' ? never : Name;

/** Adds steps one after the other; each sees the results of those before it. */
export interface SagaBuilder<Input, Results, Output = null> {
  /** A local transaction: business rows and the messages owed commit together. */
  local<Name extends string, Result, Options extends LocalOptions<Input, Results>>(
    name: Name & Fresh<Name, Results>,
    work: LocalRef<Input, Result>,
    options?: Options,
  ): SagaBuilder<Input, Results & Added<Name, Result, Options>, Output>;
  /** A message to a participant; its undo comes with its contract. */
  message<Name extends string, Payload, Result, Options extends StepOptions<Input, Results>>(
    name: Name & Fresh<Name, Results>,
    contract: MessageContract<Payload, Result>,
    payload: PayloadBuilder<Input, Results, NoInfer<Payload>>,
    options?: Options,
  ): SagaBuilder<Input, Results & Added<Name, Result, Options>, Output>;
  /** Message steps that run at the same time; none sees another's result. They are undone at the same time. */
  parallel<Members>(
    group: (group: GroupBuilder<Input, Results, unknown>) => GroupBuilder<Input, Results, Members>,
  ): SagaBuilder<Input, Results & Members, Output>;
  /** Pauses until an event comes, `POST /v1/sagas/{id}/events/{event}`; its body is the step's result. */
  wait<Name extends string, Body, Options extends Pick<StepOptions<Input, Results>, 'when' | 'retired'>>(
    name: Name & Fresh<Name, Results>,
    options: Options & WaitOptions<Input, Results, Body>,
  ): SagaBuilder<Input, Results & Added<Name, Body, Options>, Output>;
  /**
   * Runs another saga and goes on with what it `returns`. Until this saga has settled that one can be taken back, and is when
   * this one compensates; what in it cannot be taken back waits for this one to complete.
   */
  child<Name extends string, ChildInput, Result, Options extends ChildOptions<Input, Results>>(
    name: Name & Fresh<Name, Results>,
    definition: SagaDefinition<ChildInput, Result>,
    input: PayloadBuilder<Input, Results, NoInfer<ChildInput>>,
    options?: Options,
  ): SagaBuilder<Input, Results & Added<Name, Result, Options>, Output>;
  /** What it tells the saga that it is a step of, from the results so far; before any step that cannot be taken back. */
  returns<Result>(output: PayloadBuilder<Input, Results, Result>): SagaBuilder<Input, Results, Result>;
  /**
   * Checks the whole and freezes the plan.
   *
   * @throws SagaDefinitionError that names the step
   */
  build(): SagaDefinition<Input, Output>;
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

export type ChildOptions<Input, Results> = Pick<StepOptions<Input, Results>, 'when' | 'retired'>;

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
  return draftSaga(type, options as SagaOptions<unknown>) as SagaBuilder<Input, unknown>;
}
