import { ApplicationFailure } from '@temporalio/common';
import type { AheadEnd } from '../../../activities/ahead-run.js';
import type { LocalArgs, SagaActivities } from '../../../activities/saga-activities.js';
import type { Reason } from '../../../src/saga/errors.js';
import type { HoldVerdict, Look, StateRecord } from '../../../src/saga/state.js';

/** What an attempt does; the last one of a script is repeated. */
export type Attempt = 'done' | 'open' | 'rejected' | 'unknown' | 'parked' | 'fenced' | 'settled' | Promise<void>;

/** Activities that do what a test tells them, and note what was asked of them. */
export interface ScriptedActivities extends SagaActivities {
  /** In order: `second/do`, `compensating`, `second/undo`, `compensated`, …; an attempt that is repeated appears once. */
  readonly log: string[];
  /** Attempts per effect, e.g. `second/do`. */
  readonly attempts: Map<string, number>;
  /** The reason given with each state. */
  readonly reasons: Map<string, Reason | undefined>;
  /** The trace contexts that messages were sent with. */
  readonly traces: (string | undefined)[];
  /** What `second/do` was sent. */
  readonly payloads: Map<string, unknown>;
}

/** What the ledger says. */
export interface LedgerScript {
  /** When a state is entered, by state. */
  readonly records?: Readonly<Record<string, StateRecord>>;
  /** To a saga that is held, once it is held no longer. @default release */
  readonly verdict?: HoldVerdict;
  /** How far a saga comes that may run ahead. @default the ledger fails it at once */
  readonly ahead?: AheadEnd | (() => Promise<AheadEnd>);
}

/** Nothing is known yet. */
const OPEN = Symbol('open');

function lookOf(result: unknown): Look<unknown> {
  return result === OPEN ? { isOpen: true } : { isOpen: false, answer: result };
}

/**
 * Makes scripted activities.
 *
 * @param script effect, e.g. `second/do`, to what its attempts do; an effect without one is done at once
 */
export function scriptedActivities(
  script: Readonly<Record<string, readonly Attempt[]>>,
  { records = {}, verdict = { kind: 'release' }, ahead }: LedgerScript = {},
): ScriptedActivities {
  const log: string[] = [];
  const attempts = new Map<string, number>();
  const reasons = new Map<string, Reason | undefined>();
  const payloads = new Map<string, unknown>();
  const traces: (string | undefined)[] = [];
  const note = (entry: string): void => {
    if (log.at(-1) !== entry) log.push(entry);
  };
  const perform = async ({ effect }: Pick<LocalArgs, 'effect'>): Promise<unknown> => {
    const key = `${effect.step}/${effect.action}`;
    const count = (attempts.get(key) ?? 0) + 1;
    attempts.set(key, count);
    if (count === 1) note(key);
    const attempt = script[key]?.[count - 1] ?? script[key]?.at(-1) ?? 'done';
    if (attempt === 'open') return OPEN;
    if (typeof attempt !== 'string') await attempt;
    else if (attempt !== 'done') throw failureOf(attempt, key);
    return { id: effect.step };
  };
  const enter = (state: string, reason: Reason | undefined): void => {
    note(state);
    if (!reasons.has(state)) reasons.set(state, reason);
  };
  return {
    log,
    attempts,
    reasons,
    payloads,
    traces,
    runAhead: () => {
      note('ahead');
      if (!ahead) return Promise.reject(new Error('the ledger cannot be reached'));
      return typeof ahead === 'function' ? ahead() : Promise.resolve(ahead);
    },
    runLocal: perform,
    dispatch: (args) => {
      traces.push(args.traceparent);
      payloads.set(`${args.effect.step}/${args.effect.action}`, args.payload);
      return perform(args);
    },
    recordState: ({ state, reason }) => {
      enter(state, reason);
      return Promise.resolve({ reason, ...records[state] });
    },
    lookForEvent: async ({ sagaId, step }) => lookOf(await perform({ effect: { sagaId, step, action: 'do' } })),
    lookAtChild: async (args) => ({ child: `${args.effect.sagaId}-child`, ...lookOf(await perform(args)) }),
    takeChildBack: async (args) => {
      const child = `${args.effect.sagaId}-child`;
      const isOpen = (await perform(args)) === OPEN;
      return isOpen ? { child, isOpen } : { child, isOpen, answer: null };
    },
    holdChild: async ({ sagaId, output }) => {
      payloads.set('held', output);
      const isOpen = (await perform({ effect: { sagaId, step: 'held', action: 'do' } })) === OPEN;
      return isOpen ? { isOpen } : { isOpen, answer: verdict };
    },
    settle: ({ outcome, reason }) => {
      enter(outcome, reason);
      return Promise.resolve();
    },
  };
}

function failureOf(attempt: Exclude<Attempt, 'done' | 'open' | Promise<void>>, key: string): ApplicationFailure {
  const reason: Reason = { code: `test-${attempt}`, message: `${key} was ${attempt}` };
  if (attempt === 'unknown') return ApplicationFailure.create({ message: 'no answer', type: 'RetryableError' });
  const type = { rejected: 'RejectedError', parked: 'ParkedError', fenced: 'FencedError', settled: 'FencedError' }[
    attempt
  ];
  const details = attempt === 'settled' ? [reason, 'completed'] : [reason];
  return ApplicationFailure.create({ message: reason.message, type, nonRetryable: true, details });
}
