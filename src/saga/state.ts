import type { Reason } from './errors.js';
import type { Plan } from './plan.js';

/**
 * The states of a saga.
 * ```
 * accepted ─▶ running ─▶ completed
 *     │          ├─▶ compensating ─▶ compensated
 *     └──────────┘        ├─▶ parked (an undo that cannot succeed)
 *                └─▶ parked (a step after the pivot that cannot succeed)
 * parked ─▶ running | compensating (an operator lets it go on) | completed | compensated (an operator resolves it)
 * running, as its first state, in the express lane: accepted and begun in one transaction
 * running ─▶ held ─▶ running | completed | compensating (a saga that is a step of another: done, and waits for that one to settle)
 * ```
 */
export const SAGA_STATES = [
  'accepted',
  'running',
  'held',
  'completed',
  'compensating',
  'compensated',
  'parked',
] as const;
export type SagaState = (typeof SAGA_STATES)[number];

/** The two ways in which a saga ends. */
export type SagaOutcome = 'completed' | 'compensated';

/** Whether a saga in this state will never change again. */
export function isTerminal(state: SagaState): state is SagaOutcome {
  return state === 'completed' || state === 'compensated';
}

/** The input of a saga's workflow: everything it needs, pinned when the saga was accepted. */
export interface SagaStart<Input = unknown> {
  readonly sagaId: string;
  readonly tenantId: string;
  readonly plan: Plan;
  readonly input: Input;
  /** When it was accepted, ms since the epoch; the deadline counts from here. */
  readonly acceptedAtMs: number;
  /** The saga that it is a step of; absent: none. */
  readonly parent?: ParentStep;
  /** W3C trace context of the request that it was accepted with. */
  readonly traceparent?: string;
  /** Whether its healthy steps may run ahead in one activity. Absent in what earlier releases have started, which ran each by itself. */
  readonly mayRunAhead?: boolean;
}

/** A step of a saga, seen from the saga that runs as that step. */
export interface ParentStep {
  readonly sagaId: string;
  readonly step: string;
}

/** What the ledger says to a workflow that waits: the answer, or that there is none yet. */
export type Look<Answer> =
  | { readonly isOpen: false; readonly answer: Answer }
  | {
      readonly isOpen: true;
      /** When the ledger is to be asked again even without news, in ms. */
      readonly leftMs?: number;
    };

/** What a held saga is told to do: `release` it goes on to its end, `take-back` it compensates. */
export type HoldVerdict = { readonly kind: 'release' } | { readonly kind: 'take-back'; readonly reason: Reason };

/** The result of a saga's workflow, as the Temporal Web UI shows it. */
export interface SagaEnd {
  readonly sagaId: string;
  readonly outcome: SagaOutcome;
  readonly reason?: Reason;
}

/**
 * What the ledger answers when a saga enters a state. A workflow may have lost what it did: what a workflow task has done but not
 * yet reported to Temporal is done again, perhaps with a cancel in front of it. The ledger has lost nothing.
 */
export interface StateRecord {
  /** Why it compensates, as first recorded. */
  readonly reason?: Reason;
  /** On entering `compensating`: every step whose `do` was applied, or was begun and may have been. */
  readonly begun?: readonly string[];
  /** It has passed its pivot, or may have: the state was not entered, it has to go forward. */
  readonly mustGoForward?: boolean;
  /** It has settled already, and stays so. */
  readonly outcome?: SagaOutcome;
}
