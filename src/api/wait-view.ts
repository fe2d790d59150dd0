import type { AwaitedEventRow, ChildSagaRow, SagaRecord } from '../db/saga-queries.js';
import { allSteps } from '../saga/plan.js';
import { isTerminal } from '../saga/state.js';
import type { WaitingForView } from './awaited-events.schemas.js';
import type { Trace, Traces } from './saga-view.js';

/** What a wait for an event has left in the ledger. */
export function tracesOfEvent(row: AwaitedEventRow | undefined): Traces {
  if (!row || (row.status === 'awaited' && row.waitingSince === null)) return {};
  const { status, waitingSince, receivedAt } = row;
  const [started, finished] = [iso(waitingSince ?? receivedAt), iso(receivedAt)];
  if (status === 'received') return { do: trace('applied', started, finished) };
  if (status === 'awaited') return { do: { ...trace('awaited', started, null), attempts: 0 } };
  return { do: { ...trace('rejected', started, null), lastError: 'the event did not come in time' } };
}

/** What the saga that runs as a step has left: it is done once it is held, and still can be taken back. */
export function tracesOfChild(row: ChildSagaRow | undefined): Traces {
  if (!row) return {};
  const { state, reason, heldAt, isTakenBack } = row;
  const [started, held, updated] = [iso(row.acceptedAt), iso(heldAt), iso(row.updatedAt)];
  const isDone = heldAt !== null || state === 'completed';
  const lastError = reason?.message ?? null;
  if (state === 'compensated' && !isTakenBack) return { do: { ...trace('rejected', started, updated), lastError } };
  const forward = trace(isDone ? 'applied' : 'awaited', started, held);
  if (!isTakenBack) return { do: forward };
  const isOver = state === 'compensated';
  return { do: forward, undo: trace(isOver ? 'applied' : 'pending', updated, isOver ? updated : null) };
}

/** What a saga waits for when it has nothing to do itself. */
export function waitingFor(saga: SagaRecord): WaitingForView | null {
  if (isTerminal(saga.state)) return null;
  return waitingForEvent(saga) ?? waitingForChild(saga) ?? waitingForParent(saga);
}

function waitingForEvent({ plan, state, reason, awaited }: SagaRecord): WaitingForView | null {
  const row = awaited.find(({ status, waitingSince }) => status === 'awaited' && waitingSince !== null);
  const step = allSteps(plan).find(({ name }) => name === row?.step);
  if (!row || !step || state !== 'running' || reason) return null;
  const since = Date.parse(row.waitingSince!);
  const until = new Date(since + step.timeoutMs!).toISOString();
  return { kind: 'event', step: step.name, name: step.action, since: new Date(since).toISOString(), until };
}

function waitingForChild({ children, reason }: SagaRecord): WaitingForView | null {
  const isGoingOn = ({ state, heldAt, isTakenBack }: ChildSagaRow): boolean =>
    !isTerminal(state) && (heldAt === null || (reason !== null && isTakenBack));
  const child = children.find(isGoingOn);
  if (!child) return null;
  return { kind: 'child', step: child.step, name: child.sagaId, since: iso(child.acceptedAt)!, until: null };
}

function waitingForParent({ state, parent, heldAt }: SagaRecord): WaitingForView | null {
  if (state !== 'held' || !parent || !heldAt) return null;
  return { kind: 'parent', step: parent.step, name: parent.sagaId, since: heldAt.toISOString(), until: null };
}

function trace(status: Trace['status'], startedAt: string | null, finishedAt: string | null): Trace {
  return { status, attempts: 1, startedAt, finishedAt, lastError: null };
}

function iso(time: string | null): string | null {
  return time === null ? null : new Date(time).toISOString();
}
