import type { EffectRow, MessageRow, SagaRecord } from '../db/saga-queries.js';
import { effectKey, type StepAction } from '../saga/ids.js';
import { allSteps, stepsOf, type PlanStep } from '../saga/plan.js';
import { tracesOfChild, tracesOfEvent } from './wait-view.js';
import type { StepStatus, StepView, UndoView } from './schemas.js';

/** What one direction of a step has left in the ledger. */
export interface Trace {
  readonly status: EffectRow['status'] | MessageRow['status'] | 'awaited';
  readonly attempts: number;
  readonly startedAt: string | null;
  readonly finishedAt: string | null;
  readonly lastError: string | null;
}

/** What both directions of a step have left. */
export interface Traces {
  readonly do?: Trace;
  readonly undo?: Trace;
}

/** The steps of a saga as a client sees them, in the order of its pinned plan. */
export function stepsOfSaga(saga: SagaRecord): readonly StepView[] {
  const traces = new Map(allSteps(saga.plan).map((step) => [step.name, tracesOf(saga, step)]));
  const underWay = localUnderWay(saga, traces);
  return allSteps(saga.plan).map((step) => {
    const trace = traces.get(step.name) ?? {};
    const parked = saga.parked[step.name];
    return {
      name: step.name,
      kind: step.kind,
      type: step.type,
      action: step.action,
      child: saga.children.find((child) => child.step === step.name)?.sagaId ?? null,
      status: parked ? 'parked' : step.name === underWay ? 'running' : statusOf(trace, isForward(saga)),
      parkReason: parked ? { code: parked.code, message: parked.message, step: step.name } : null,
      ...attemptsOf(trace.do),
      effectKeys: {
        do: effectKey({ sagaId: saga.id, step: step.name, action: 'do' }),
        undo: step.undo === undefined ? null : effectKey({ sagaId: saga.id, step: step.name, action: 'undo' }),
      },
      undo: step.undo === undefined ? null : undoOf(step.undo, trace.undo),
    };
  });
}

/**
 * The status of a step, from what its two directions left and the state of its saga; first line that fits:
 *
 * | undo | do | saga goes forward | status |
 * |---|---|---|---|
 * | dead, rejected | any | any | parked |
 * | applied, nothing to undo, sent | any | any | undone |
 * | pending | any | any | undoing |
 * | none | applied, sent | any | done |
 * | none | rejected | any | rejected |
 * | none | tombstone | any | undone |
 * | none | dead | any | parked |
 * | none | awaited | yes | waiting |
 * | none | never attempted | yes | pending |
 * | none | never attempted | no | skipped |
 * | none | attempted, no answer | yes | running |
 * | none | attempted, no answer | no | unknown |
 */
export function statusOf({ do: forward, undo }: Traces, goesForward: boolean): StepStatus {
  if (undo) return UNDO_STATUS[undo.status];
  const final = forward && DO_STATUS[forward.status];
  if (final) return final;
  if (goesForward && forward?.status === 'awaited') return 'waiting';
  const isAttempted = (forward?.attempts ?? 0) > 0;
  if (goesForward) return isAttempted ? 'running' : 'pending';
  return isAttempted ? 'unknown' : 'skipped';
}

const DO_STATUS: Readonly<Record<Trace['status'], StepStatus | undefined>> = {
  applied: 'done',
  sent: 'done',
  rejected: 'rejected',
  tombstone: 'undone',
  'nothing-to-undo': 'undone',
  dead: 'parked',
  pending: undefined,
  withdrawn: undefined,
  awaited: undefined,
};

const UNDO_STATUS: Readonly<Record<Trace['status'], StepStatus>> = {
  applied: 'undone',
  sent: 'undone',
  'nothing-to-undo': 'undone',
  tombstone: 'undone',
  withdrawn: 'undone',
  pending: 'undoing',
  awaited: 'undoing',
  rejected: 'parked',
  dead: 'parked',
};

/** Whether the steps that have not run still may. */
function isForward({ state, reason }: SagaRecord): boolean {
  return state === 'accepted' || state === 'running' || state === 'held' || (state === 'parked' && reason === null);
}

/** A local step leaves nothing before it commits: it runs when the saga does and all before it have answered. */
function localUnderWay({ plan, state }: SagaRecord, traces: ReadonlyMap<string, Traces>): string | undefined {
  if (state !== 'running') return undefined;
  const open = plan.items.flatMap(stepsOf).find(({ name }) => {
    const forward = traces.get(name)?.do;
    return !forward || forward.status === 'pending';
  });
  return open?.type === 'local' ? open.name : undefined;
}

function tracesOf({ effects, messages, awaited, children }: SagaRecord, { name, type }: PlanStep): Traces {
  if (type === 'wait') return tracesOfEvent(awaited.find(({ step }) => step === name));
  if (type === 'child') return tracesOfChild(children.find(({ step }) => step === name));
  const of = (action: StepAction): Trace | undefined => {
    const isOurs = (row: EffectRow | MessageRow): boolean => row.step === name && row.action === action;
    if (type === 'message') return traceOfMessage(messages.find(isOurs));
    return traceOfEffect(effects.find(isOurs));
  };
  return { do: of('do'), undo: of('undo') };
}

function traceOfMessage(row: MessageRow | undefined): Trace | undefined {
  return (
    row && {
      status: row.status,
      attempts: row.attempts,
      startedAt: iso(row.firstSentAt),
      finishedAt: iso(row.finishedAt),
      lastError: row.reason?.message ?? row.lastError,
    }
  );
}

function traceOfEffect(row: EffectRow | undefined): Trace | undefined {
  if (!row) return undefined;
  const at = iso(row.appliedAt);
  const attempts = row.status === 'tombstone' ? 0 : 1;
  return { status: row.status, attempts, startedAt: at, finishedAt: at, lastError: row.reason?.message ?? null };
}

function undoOf(action: string, trace: Trace | undefined): UndoView {
  return { action, ...attemptsOf(trace) };
}

function attemptsOf(trace: Trace | undefined): Omit<Trace, 'status'> {
  const { attempts = 0, startedAt = null, finishedAt = null, lastError = null } = trace ?? {};
  return { attempts, startedAt, finishedAt, lastError };
}

function iso(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
