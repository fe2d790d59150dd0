export { defineSaga } from './define-saga.js';
export type {
  ChildOptions,
  GroupBuilder,
  LocalOptions,
  PayloadBuilder,
  SagaBuilder,
  SagaDefinition,
  SagaOptions,
  Scope,
  StepOptions,
  WaitOptions,
} from './define-saga.js';
export { defineEvent, type EventContract } from './event-contract.js';
export { defineMessage, type MessageContract } from './message-contract.js';
export { localWork, type LocalContext, type LocalRef, type LocalWork } from './local-work.js';
export { FencedError, ParkedError, RejectedError, RetryableError, SagaDefinitionError, type Reason } from './errors.js';
export { effectKey, isSagaId, parseEffectKey, type EffectId, type StepAction } from './ids.js';
export type { Duration } from './duration.js';
export { LANES, type Lane } from './lane.js';
export type { RetryOptions, RetryPolicy } from './retry.js';
export type { Plan, PlanGroup, PlanStep, StepKind, StepType } from './plan.js';
export { OPERATOR_ACTIONS, RESOLVED_MANUALLY, type OperatorAction, type Parked } from './operator.js';
export {
  isTerminal,
  SAGA_STATES,
  type ParentStep,
  type SagaEnd,
  type SagaOutcome,
  type SagaStart,
  type SagaState,
} from './state.js';
export { outcomeKindOf, type Outcome } from './outcome.js';
export { ENVELOPE_HEADERS, type Envelope } from './envelope.js';
