import type pg from 'pg';
import { RejectedError, type Reason } from '../saga/errors.js';
import { allSteps, type Plan, type PlanStep } from '../saga/plan.js';
import { isTerminal, type Look, type SagaState } from '../saga/state.js';
import { withTransaction, type Transaction } from './pool.js';
import { enterForward } from './saga-store.js';

/** A step that waits for an event. */
export interface EventWait {
  readonly sagaId: string;
  readonly step: string;
  readonly event: string;
  /** From the first look, in ms. */
  readonly withinMs: number;
  /** Whether a timeout can never be taken back; else the step may be asked again, and then waits anew. */
  readonly isFinal: boolean;
}

interface AwaitedRow {
  readonly status: 'awaited' | 'received' | 'timed-out';
  readonly body: unknown;
  readonly leftMs: number | null;
}

/**
 * Looks whether an event has come; the first look begins the wait. The ledger decides between an event, a cancel and the timeout:
 * all three change it under the lock of the saga's row.
 *
 * @throws RejectedError `event-timed-out`
 * @throws FencedError when there is no event and the saga has decided to compensate, or is to be cancelled
 */
export async function lookForEvent(pool: pg.Pool, wait: EventWait): Promise<Look<unknown>> {
  const row = await withTransaction(pool, async (tx) => {
    const earlier = await takeEvent(tx, wait);
    if (earlier) return earlier;
    await enterForward(tx, wait);
    return (await takeEvent(tx, wait)) ?? awaitEvent(tx, wait);
  });
  if (row.status === 'received') return { isOpen: false, answer: row.body };
  if (row.status === 'awaited' && row.leftMs! > 0) return { isOpen: true, leftMs: row.leftMs! };
  throw new RejectedError('event-timed-out', `'${wait.event}' did not come within ${wait.withinMs} ms`);
}

/** What has been decided: an event that came, or a timeout that stands. */
async function takeEvent(tx: Transaction, { sagaId, step }: EventWait): Promise<AwaitedRow | undefined> {
  const { rows } = await tx.query<AwaitedRow>({
    name: 'take-event',
    text: `update settle.awaited_event set taken_at = coalesce(taken_at, clock_timestamp())
            where saga_id = $1 and step = $2 and status in ('received', 'timed-out')
            returning status, body, null as "leftMs"`,
    values: [sagaId, step],
  });
  return rows[0];
}

async function awaitEvent(tx: Transaction, { sagaId, step, event, withinMs, isFinal }: EventWait): Promise<AwaitedRow> {
  const { rows } = await tx.query<AwaitedRow>({
    name: 'await-event',
    text: `with waiting as (
             insert into settle.awaited_event (saga_id, step, event, status, waiting_since)
             values ($1, $2, $3, 'awaited', clock_timestamp())
             on conflict (saga_id, step) do update
                set waiting_since = coalesce(awaited_event.waiting_since, clock_timestamp())
             returning waiting_since)
           select 'awaited' as status, null as body,
                  ceil(extract(epoch from waiting_since - clock_timestamp()) * 1000 + $4)::float8 as "leftMs"
             from waiting`,
    values: [sagaId, step, event, withinMs],
  });
  const row = rows[0]!;
  if (row.leftMs! <= 0) {
    await tx.query(
      `update settle.awaited_event
          set status = case when $3 then 'timed-out' else status end, waiting_since = case when $3 then waiting_since end
        where saga_id = $1 and step = $2`,
      [sagaId, step, isFinal],
    );
  }
  return row;
}

/** An event as it comes from outside. */
export interface IncomingEvent {
  readonly tenantId: string;
  readonly sagaId: string;
  readonly event: string;
  /** Of the body as it was sent. */
  readonly bodyHash: string;
  /** Checks the body against the event's contract. Throws when it breaks it; then nothing is recorded. */
  readonly parse: () => unknown;
}

/** What became of an event. */
export type EventAnswer =
  | { readonly kind: 'recorded'; readonly receivedAt: Date; readonly isRepeated: boolean }
  | { readonly kind: 'unknown-saga' }
  /** The saga's plan does not wait for it; these it does. */
  | { readonly kind: 'unknown-event'; readonly events: readonly string[] }
  /** Another body came first. */
  | { readonly kind: 'decided'; readonly receivedAt: Date }
  /** It comes too late: the wait has timed out, or the saga no longer goes forward. */
  | { readonly kind: 'late'; readonly state: SagaState; readonly reason: Reason };

/** Records an event for good, before or while its saga waits for it. The first one wins; the same again changes nothing. */
export async function recordEvent(pool: pg.Pool, incoming: IncomingEvent): Promise<EventAnswer> {
  return withTransaction(pool, async (tx) => {
    const saga = await lockWaiting(tx, incoming);
    if (!saga) return { kind: 'unknown-saga' };
    const waits = allSteps(saga.plan).filter(({ type }) => type === 'wait');
    const step = waits.find(({ action }) => action === incoming.event);
    if (!step) return { kind: 'unknown-event', events: waits.map(({ action }) => action) };
    const known = await findEvent(tx, incoming.sagaId, step.name);
    if (known?.receivedAt) {
      const { receivedAt } = known;
      return known.bodyHash === incoming.bodyHash
        ? { kind: 'recorded', receivedAt, isRepeated: true }
        : { kind: 'decided', receivedAt };
    }
    const reason = whyLate(saga, step, known?.status);
    if (reason) return { kind: 'late', state: saga.state, reason };
    const body = incoming.parse();
    return {
      kind: 'recorded',
      receivedAt: await insertEvent(tx, incoming, { step: step.name, body }),
      isRepeated: false,
    };
  });
}

interface WaitingSaga {
  readonly plan: Plan;
  readonly state: SagaState;
  readonly reason: Reason | null;
  readonly cancelReason: Reason | null;
}

async function lockWaiting(
  tx: Transaction,
  { tenantId, sagaId }: Pick<IncomingEvent, 'tenantId' | 'sagaId'>,
): Promise<WaitingSaga | undefined> {
  const { rows } = await tx.query<WaitingSaga>(
    `select plan, state, reason, cancel_reason as "cancelReason"
       from settle.saga where id = $1 and tenant_id = $2 for no key update`,
    [sagaId, tenantId],
  );
  return rows[0];
}

interface KnownEvent {
  readonly status: AwaitedRow['status'];
  readonly bodyHash: string | null;
  readonly receivedAt: Date | null;
}

async function findEvent(tx: Transaction, sagaId: string, step: string): Promise<KnownEvent | undefined> {
  const { rows } = await tx.query<KnownEvent>(
    `select status, body_hash as "bodyHash", received_at as "receivedAt"
       from settle.awaited_event where saga_id = $1 and step = $2`,
    [sagaId, step],
  );
  return rows[0];
}

function whyLate(saga: WaitingSaga, step: PlanStep, status: AwaitedRow['status'] | undefined): Reason | undefined {
  if (isTerminal(saga.state)) return { code: 'settled', message: `the saga has settled as ${saga.state}` };
  if (saga.reason) return saga.reason;
  // a cancel that was accepted first holds: no step that can be taken back begins, or ends, after it
  if (saga.cancelReason && step.kind === 'compensatable') return saga.cancelReason;
  if (status === 'timed-out') return { code: 'event-timed-out', message: 'the time to wait for it is over' };
  return undefined;
}

/** Stores it and makes the saga due: should its workflow not be told now, the scan tells it. */
async function insertEvent(
  tx: Transaction,
  { sagaId, event, bodyHash }: IncomingEvent,
  { step, body }: { step: string; body: unknown },
): Promise<Date> {
  const { rows } = await tx.query<{ receivedAt: Date }>(
    `insert into settle.awaited_event (saga_id, step, event, status, body, body_hash, received_at)
     values ($1, $2, $3, 'received', $4, $5, clock_timestamp())
     on conflict (saga_id, step) do update
        set status = 'received', body = excluded.body, body_hash = excluded.body_hash, received_at = excluded.received_at
     returning received_at as "receivedAt"`,
    [sagaId, step, event, JSON.stringify(body ?? null), bodyHash],
  );
  await tx.query(`update settle.saga set scans = 0, due_at = clock_timestamp() + interval '3 seconds' where id = $1`, [
    sagaId,
  ]);
  return rows[0]!.receivedAt;
}
