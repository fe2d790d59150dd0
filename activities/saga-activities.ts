import type { SagaDefinition } from '../src/saga/define-saga.js';
import type { Reason } from '../src/saga/errors.js';
import type { EffectId } from '../src/saga/ids.js';
import type { LocalWork } from '../src/saga/local-work.js';
import type { HoldVerdict, Look, SagaOutcome, StateRecord } from '../src/saga/state.js';
import { lookForEvent, type EventWait } from '../src/db/awaited-events.js';
import { holdChild, takeChildBack, type ChildLook } from '../src/db/child-sagas.js';
import { settleSaga } from '../src/db/saga-end.js';
import { recordState, type StateChange } from '../src/db/saga-store.js';
import { withTransaction, type Transaction } from '../src/db/pool.js';
import type { AheadArgs, AheadEnd, AheadLedger } from './ahead-run.js';
import { createLookAtChild } from './child-sagas.js';
import { createDispatch } from './dispatch.js';
import { toFailure } from './failures.js';
import type { Obtaining } from './obtain.js';
import { createRunAhead } from './run-ahead.js';
import { createRunLocal } from './run-local.js';

/** A local step: which transaction, for whom, and what is known so far. */
export interface LocalArgs {
  readonly effect: EffectId;
  readonly tenantId: string;
  /** The local transaction's name, e.g. `orders.place`. */
  readonly work: string;
  /** The saga type whose code builds the payloads owed. */
  readonly saga: string;
  readonly input: unknown;
  readonly results: Readonly<Record<string, unknown>>;
  /** The message steps that follow, as planned: those whose payloads are known by then are written in the same transaction. */
  readonly owes: readonly { readonly step: string; readonly type: string }[];
}

/** A message step. */
export interface DispatchArgs {
  readonly effect: EffectId;
  readonly tenantId: string;
  /** The message type. */
  readonly type: string;
  readonly saga: string;
  /** W3C trace context of the saga. */
  readonly traceparent?: string;
  /** Absent for an undo: it is sent what its `do` was sent. */
  readonly payload?: unknown;
  /** One attempt, in ms. @default 5000 */
  readonly timeoutMs?: number;
  /** The longest wait that a participant may ask for, in ms. @default 10000 */
  readonly maxWaitMs?: number;
  /** How long a broker's answer to one sending is waited for before it is sent again, in ms. @default timeoutMs */
  readonly patienceMs?: number;
}

/** A step that runs another saga. */
export interface ChildArgs {
  readonly effect: EffectId;
  readonly tenantId: string;
  /** The saga type. */
  readonly type: string;
  readonly input: unknown;
}

/**
 * Everything a saga's workflow does to the world. Each is idempotent, so that it may run as often as Temporal likes.
 * They fail with ApplicationFailures of type `RejectedError`, `FencedError`, `ParkedError` (final, a Reason in the details),
 * `StillWorking` or others (tried again).
 */
export interface SagaActivities {
  /** Runs the healthy steps of a saga and completes it; returns how far it has come. Its steps' failures are not its own. */
  runAhead(args: AheadArgs): Promise<AheadEnd>;
  /** Runs a local transaction; returns its stored result. */
  runLocal(args: LocalArgs): Promise<unknown>;
  /** Sends a message and records the participant's answer in the ledger; returns its result. */
  dispatch(args: DispatchArgs): Promise<unknown>;
  /** Records a state that is not the end; returns what the ledger knows. */
  recordState(change: StateChange): Promise<StateRecord>;
  /** Looks whether an event has come; the first look begins the wait. */
  lookForEvent(wait: EventWait): Promise<Look<unknown>>;
  /** Accepts the saga that a step runs, or looks what has become of it. */
  lookAtChild(args: ChildArgs): Promise<Look<unknown> & ChildLook>;
  /** Makes the saga that a step ran compensate, and looks whether it has. */
  takeChildBack(args: { readonly effect: EffectId }): Promise<Look<null> & ChildLook>;
  /** Holds a saga that is a step of another, and looks what that one says. */
  holdChild(args: { readonly sagaId: string; readonly output: unknown }): Promise<Look<HoldVerdict>>;
  /** Ends the saga. */
  settle(end: { readonly sagaId: string; readonly outcome: SagaOutcome; readonly reason?: Reason }): Promise<void>;
}

/** What the activities are made of. */
export interface ActivityDependencies extends Obtaining {
  readonly definitions: readonly SagaDefinition[];
  /** By name, e.g. `orders.place`. */
  readonly localWorks: ReadonlyMap<string, LocalWork<Transaction, never, unknown>>;
  /** What running ahead asks of the ledger. @default that of the pool */
  readonly ahead?: AheadLedger;
}

/** Makes the activities; the worker registers them. */
export function createSagaActivities(dependencies: ActivityDependencies): SagaActivities {
  const { pool } = dependencies;
  return {
    runAhead: createRunAhead(dependencies),
    runLocal: createRunLocal(dependencies),
    dispatch: createDispatch(dependencies),
    recordState: (change) => withTransaction(pool, (tx) => recordState(tx, change)),
    lookForEvent: (wait) => failing(lookForEvent(pool, wait)),
    lookAtChild: createLookAtChild(dependencies),
    takeChildBack: ({ effect }) => failing(takeChildBack(pool, effect)),
    holdChild: (args) => failing(holdChild(pool, args)),
    settle: (end) => failing(settleSaga(pool, end)),
  };
}

function failing<T>(work: Promise<T>): Promise<T> {
  return work.catch((error: unknown) => {
    throw toFailure(error);
  });
}
