import { createHash } from 'node:crypto';
import type pg from 'pg';
import { FencedError, ParkedError, RejectedError, type Reason } from '../saga/errors.js';
import { effectKey, sagaId as sagaIdOf, type EffectId } from '../saga/ids.js';
import type { Plan } from '../saga/plan.js';
import { isTerminal, type HoldVerdict, type Look, type SagaState } from '../saga/state.js';
import { withTransaction, type Transaction } from './pool.js';
import { ACCEPTED_COLUMNS, enterForward, startOf, type AcceptedSaga } from './saga-store.js';
import type { SagaStart } from '../saga/state.js';

/** A saga as a step of another asks for it. */
export interface NewChild {
  /** Of the parent's step. */
  readonly effect: EffectId;
  readonly tenantId: string;
  readonly type: string;
  readonly businessKey: string;
  readonly plan: Plan;
  readonly input: unknown;
}

/** A child as its parent sees it. */
export interface ChildLook {
  readonly child: string;
  /** With the look that accepted it: what its workflow is started with. */
  readonly start?: SagaStart & { readonly businessKey: string };
}

/** The code of the reason with which a parent takes its child back. */
export const PARENT_COMPENSATES = 'parent-compensates';

/**
 * The id of the saga that runs as a step of another: always the same for the same step, so that accepting it twice is accepting
 * it once. It bears its parent's time, so that both are kept, and go, together.
 */
export function childSagaId({ sagaId, step }: Pick<EffectId, 'sagaId' | 'step'>): string {
  const hash = createHash('sha256').update(`${sagaId}/${step}`).digest('hex');
  const time = sagaId.slice(3, 16);
  return sagaIdOf(`${time}-7${hash.slice(0, 3)}-8${hash.slice(3, 6)}-${hash.slice(6, 18)}`);
}

interface ChildRow extends Omit<AcceptedSaga, 'replayed'> {
  readonly reason: Reason | null;
  readonly heldAt: Date | null;
  readonly output: unknown;
}

/**
 * Accepts the child of a step, or finds what has become of it.
 *
 * @returns its output once it is done; it may still be taken back
 * @throws RejectedError with the child's reason when it has been undone
 * @throws FencedError when there is none yet and the parent has decided to compensate
 */
export async function lookAtChild(
  pool: pg.Pool,
  effect: EffectId,
  newChild: () => NewChild,
): Promise<Look<unknown> & ChildLook> {
  const child = childSagaId(effect);
  return withTransaction(pool, async (tx) => {
    const row = await findChild(tx, child);
    if (row) return { child, ...progressOf(row) };
    await enterForward(tx, effect);
    const accepted = await acceptChild(tx, child, newChild());
    if (!accepted) return { child, isOpen: true };
    return { child, isOpen: true, start: { ...startOf(accepted), businessKey: accepted.businessKey } };
  });
}

async function findChild(tx: Transaction, id: string, lock = ''): Promise<ChildRow | undefined> {
  const { rows } = await tx.query<ChildRow>(
    `select ${ACCEPTED_COLUMNS}, reason, output, held_at as "heldAt" from settle.saga where id = $1 ${lock}`,
    [id],
  );
  return rows[0];
}

function progressOf({ id, state, reason, output, heldAt }: ChildRow): Look<unknown> {
  if (state === 'compensated') {
    const { code, message } = reason ?? { code: 'compensated', message: `saga '${id}' was undone` };
    throw new RejectedError(code, message);
  }
  const isDone = state === 'completed' || (heldAt !== null && reason === null);
  return isDone ? { isOpen: false, answer: output } : { isOpen: true };
}

/** Its key is one that no client can send, as it holds a space. */
async function acceptChild(tx: Transaction, id: string, child: NewChild): Promise<AcceptedSaga | undefined> {
  const { effect, tenantId, type, businessKey, plan, input } = child;
  const { rows } = await tx.query<AcceptedSaga>({
    name: 'accept-child',
    text: `insert into settle.saga
             (id, tenant_id, idempotency_key, request_hash, type, business_key, plan, input, parent_id, parent_step, due_at, traceparent)
           values ($1, $2, $3, '', $4, $5, $6, $7, $8, $9, clock_timestamp() + interval '3 seconds',
                   (select traceparent from settle.saga where id = $8))
           on conflict (id) do nothing returning ${ACCEPTED_COLUMNS}`,
    values: [
      ...[id, tenantId, `child ${effectKey(effect)}`, type, businessKey, JSON.stringify(plan), JSON.stringify(input)],
      ...[effect.sagaId, effect.step],
    ],
  });
  return rows[0];
}

/**
 * Takes the child of a step back: from here on it cannot complete, and compensates whatever it has done.
 *
 * @returns closed once nothing is left of it, or when there never was one: the parent's fence lets none come into being
 * @throws ParkedError `child-completed` when a person has ended it so
 */
export async function takeChildBack(pool: pg.Pool, effect: EffectId): Promise<Look<null> & ChildLook> {
  const child = childSagaId(effect);
  return withTransaction(pool, async (tx) => {
    const row = await findChild(tx, child, 'for no key update');
    if (!row || row.state === 'compensated') return { child, isOpen: false, answer: null };
    if (row.state === 'completed')
      throw new ParkedError('child-completed', `saga '${child}' has completed and can no longer be taken back`);
    await orderBack(tx, child, effect.sagaId);
    return { child, isOpen: true };
  });
}

async function orderBack(tx: Transaction, child: string, parent: string): Promise<Reason> {
  const reason: Reason = { code: PARENT_COMPENSATES, message: `saga '${parent}', of which it is a step, compensates` };
  const { rows } = await tx.query<{ reason: Reason }>(
    `update settle.saga
        set cancel_reason = coalesce(cancel_reason, $2), scans = case when cancel_reason is null then 0 else scans end,
            due_at = case when cancel_reason is null then clock_timestamp() + interval '3 seconds' else due_at end
      where id = $1 returning cancel_reason as reason`,
    [child, JSON.stringify(reason)],
  );
  return rows[0]!.reason;
}

/**
 * Holds a child that has done what can be taken back, and looks what its parent says; from the first look on nobody else's word
 * counts, neither a client's cancel nor its own deadline.
 *
 * @throws FencedError when a cancel was accepted before, or it has decided to compensate, or has settled
 */
export async function holdChild(
  pool: pg.Pool,
  { sagaId, output }: { sagaId: string; output: unknown },
): Promise<Look<HoldVerdict>> {
  return withTransaction(pool, async (tx) => {
    const standing = await lockHeld(tx, sagaId);
    if (!standing)
      throw new FencedError(`${sagaId}/hold`, { code: 'unknown-saga', message: 'the ledger has no such saga' });
    const { state, reason, cancelReason, isHeld, parentId, parentState } = standing;
    const refusal = reason ?? (isHeld ? null : cancelReason);
    if (refusal || isTerminal(state))
      throw new FencedError(`${sagaId}/hold`, refusal ?? SETTLED, isTerminal(state) ? state : undefined);
    if (cancelReason) return { isOpen: false, answer: { kind: 'take-back', reason: cancelReason } };
    if (parentState === 'compensated')
      return { isOpen: false, answer: { kind: 'take-back', reason: await orderBack(tx, sagaId, parentId!) } };
    const isReleased = parentState === 'completed';
    await hold(tx, { sagaId, output, state: isReleased ? 'running' : 'held' });
    return isReleased ? { isOpen: false, answer: { kind: 'release' } } : { isOpen: true };
  });
}

const SETTLED: Reason = { code: 'settled', message: 'the saga has settled' };

interface Held {
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly cancelReason: Reason | null;
  readonly isHeld: boolean;
  readonly parentId: string | null;
  readonly parentState: SagaState | null;
}

async function lockHeld(tx: Transaction, sagaId: string): Promise<Held | undefined> {
  const { rows } = await tx.query<Held>(
    `select s.state, s.reason, s.cancel_reason as "cancelReason", s.held_at is not null as "isHeld",
            s.parent_id as "parentId", (select p.state from settle.saga p where p.id = s.parent_id) as "parentState"
       from settle.saga s where s.id = $1 for no key update of s`,
    [sagaId],
  );
  return rows[0];
}

async function hold(
  tx: Transaction,
  { sagaId, output, state }: { sagaId: string; output: unknown; state: SagaState },
): Promise<void> {
  await tx.query(
    `update settle.saga
        set held_at = coalesce(held_at, clock_timestamp()), output = case when held_at is null then $2 else output end,
            -- a workflow that was lost while parked, and has come further this time, is parked no longer
            state = $3, parked = '{}', park_reason = null,
            updated_at = case when state = $3 then updated_at else clock_timestamp() end
      where id = $1 and state in ('accepted', 'running', 'held', 'parked')`,
    [sagaId, JSON.stringify(output ?? null), state],
  );
}
