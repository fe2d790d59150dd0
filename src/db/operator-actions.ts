import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { effectKey } from '../saga/ids.js';
import { RESOLVED_MANUALLY, type Operation, type OperatorAction } from '../saga/operator.js';
import type { SagaOutcome, SagaState } from '../saga/state.js';
import { attestEffect, editMessage, reopenEffect } from './operator-changes.js';
import { lockParked, parkedItems, type LegalNow, type ParkedItem, type ParkedRecord } from './parked-queries.js';
import { withTransaction, type Transaction } from './pool.js';
import { resolveSaga } from './saga-end.js';
import { recordState } from './saga-store.js';

/** What an operator asks for. */
export interface OperatorRequest {
  readonly tenantId: string;
  readonly sagaId: string;
  readonly actionId: string;
  /** Of the whole request: the same id with another one is refused. */
  readonly requestHash: string;
  readonly requestId: string;
  readonly action: OperatorAction;
  readonly actor: string;
  readonly reason: string;
  /** @default the only parked step */
  readonly step?: string;
  /** What the attested effect resulted in; with `skip`. */
  readonly result?: unknown;
  /** With `resolve`. */
  readonly outcome?: SagaOutcome;
  /** With `edit`. */
  readonly payload?: unknown;
}

/** An action as it stands in the ledger. */
export interface RecordedAction {
  readonly actionId: string;
  readonly sagaId: string;
  readonly step: string;
  readonly action: OperatorAction;
  readonly actor: string;
  readonly reason: string;
  readonly at: Date;
  /** The saga's state right after it. */
  readonly state: SagaState;
  readonly operation: Operation;
  /** Null until the workflow has answered. */
  readonly deliveredAt: Date | null;
}

/** What became of a request. */
export type OperatorAnswer =
  | { readonly kind: 'recorded'; readonly action: RecordedAction; readonly isRepeated: boolean }
  | { readonly kind: 'reused' }
  | { readonly kind: 'unknown' }
  | { readonly kind: 'illegal'; readonly now: LegalNow };

const COLUMNS = `id as "actionId", saga_id as "sagaId", step, action, actor, reason, at, after ->> 'state' as state, operation,
  delivered_at as "deliveredAt"`;

/** The API tells the workflow at once; when it could not, the scan does after this. */
const DELIVERY_GRACE = '5 seconds';

/**
 * Records an operator's action and changes the ledger accordingly, in one transaction. An id that is known changes nothing.
 *
 * @param check throws when what was given does not fit the step; then nothing is recorded
 */
export async function recordOperatorAction(
  pool: pg.Pool,
  request: OperatorRequest,
  check: (item: ParkedItem) => void,
): Promise<OperatorAnswer> {
  const { tenantId, actionId } = request;
  return withTransaction(pool, async (tx) => {
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`operator ${tenantId} ${actionId}`]);
    const known = await findAction(tx, request);
    if (known) return known;
    const saga = await lockParked(tx, request);
    if (!saga) return { kind: 'unknown' };
    const item = chooseItem(saga, request);
    if (!item) return { kind: 'illegal', now: legalNow(saga) };
    check(item);
    return { kind: 'recorded', action: await perform(tx, request, item), isRepeated: false };
  });
}

async function findAction(tx: Transaction, request: OperatorRequest): Promise<OperatorAnswer | undefined> {
  const { rows } = await tx.query<RecordedAction & { requestHash: string }>(
    `select ${COLUMNS}, request_hash as "requestHash" from settle.operator_action where tenant_id = $1 and id = $2`,
    [request.tenantId, request.actionId],
  );
  const known = rows[0];
  if (!known) return undefined;
  const { requestHash, ...action } = known;
  return requestHash === request.requestHash ? { kind: 'recorded', action, isRepeated: true } : { kind: 'reused' };
}

/** The step that is meant, when what is asked for may be done about it. */
function chooseItem(saga: ParkedRecord, { step, action }: OperatorRequest): ParkedItem | undefined {
  const items = parkedItems(saga);
  const meant = step === undefined ? items : items.filter((item) => item.step.name === step);
  // the whole saga is meant whichever of its parked steps is named
  const isClear = meant.length === 1 || action === 'resolve' || action === 'compensate';
  return isClear ? meant.find(({ actions }) => actions.includes(action)) : undefined;
}

function legalNow(saga: ParkedRecord): LegalNow {
  const legal = parkedItems(saga).map(({ step, actions }) => ({ step: step.name, actions }));
  return { state: saga.state, reason: saga.reason, legal };
}

async function perform(tx: Transaction, request: OperatorRequest, item: ParkedItem): Promise<RecordedAction> {
  const { sagaId } = request;
  const key = effectKey({ sagaId, step: item.step.name, action: item.parked.action });
  const operation = operationOf(request, item);
  const before = await snapshot(tx, sagaId, key);
  await change(tx, request, { item, operation });
  const after = await snapshot(tx, sagaId, key);
  const { rows } = await tx.query<RecordedAction>(
    `insert into settle.operator_action
       (tenant_id, id, saga_id, step, action, actor, reason, request_id, request_hash, before, after, operation, due_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp() + interval '${DELIVERY_GRACE}')
     returning ${COLUMNS}`,
    [
      ...[request.tenantId, request.actionId, sagaId, item.step.name, request.action, request.actor, request.reason],
      ...[request.requestId, request.requestHash, before, after, JSON.stringify(operation)],
    ],
  );
  return rows[0]!;
}

function operationOf(request: OperatorRequest, { step }: ParkedItem): Operation {
  const { action, actor, actionId, outcome } = request;
  const codes: Partial<Record<OperatorAction, string>> = {
    compensate: 'compensated-by-operator',
    resolve: RESOLVED_MANUALLY,
  };
  const reason: Reason = { code: codes[action] ?? action, message: `${actor}: ${request.reason}`, step: step.name };
  return { actionId, action, step: step.name, reason, outcome };
}

async function change(
  tx: Transaction,
  request: OperatorRequest,
  { item, operation }: { item: ParkedItem; operation: Operation },
): Promise<void> {
  const { sagaId } = request;
  const { step, parked } = item;
  const effect = { sagaId, step: step.name, action: parked.action } as const;
  switch (request.action) {
    case 'resolve':
      return resolveSaga(tx, { sagaId, outcome: request.outcome!, reason: operation.reason });
    case 'compensate':
      await recordState(tx, { sagaId, state: 'compensating', reason: operation.reason, givesUp: step.name });
      return;
    case 'edit':
      await editMessage(tx, effect, request.payload);
      break;
    case 'skip':
      await attestEffect(tx, effect, { ...step, result: parked.action === 'undo' ? null : request.result });
      break;
    case 'retry':
      await reopenEffect(tx, effect);
  }
  await recordState(tx, { sagaId, state: parked.action === 'do' ? 'running' : 'compensating', resumes: step.name });
}

/** What the audit trail shows of before and after; as text, so that numbers stay as they are written. */
async function snapshot(tx: Transaction, sagaId: string, key: string): Promise<string> {
  const { rows } = await tx.query<{ snapshot: string }>(
    `select jsonb_build_object('state', s.state, 'reason', s.reason, 'parked', s.parked,
              'message', (select to_jsonb(m) - array['id', 'saga_id', 'tenant_id', 'txid']
                            from settle.message_log m where effect_key = $2),
              'effect', (select to_jsonb(e) - array['saga_id', 'txid'] from settle.step_effect e where effect_key = $2)
            )::text as snapshot
       from settle.saga s where id = $1`,
    [sagaId, key],
  );
  return rows[0]!.snapshot;
}

/** Notes that a workflow has answered, or that there is none left to tell. */
export async function markDelivered(
  pool: pg.Pool,
  { tenantId, actionId }: { tenantId: string; actionId: string },
): Promise<void> {
  await pool.query(
    `update settle.operator_action set delivered_at = clock_timestamp(), due_at = null
      where tenant_id = $1 and id = $2 and delivered_at is null`,
    [tenantId, actionId],
  );
}

/** An action that its workflow may not have heard of. */
export interface UndeliveredAction {
  readonly tenantId: string;
  readonly sagaId: string;
  readonly operation: Operation;
  /** Whether the saga has ended: then a workflow that is gone needs not be told. */
  readonly isSettled: boolean;
}

/** Claims actions that are due to be told again, oldest first; claiming sets the next time (5 s, doubling to 5 min). */
export async function claimUndelivered(pool: pg.Pool, limit: number): Promise<readonly UndeliveredAction[]> {
  const { rows } = await pool.query<UndeliveredAction>(
    `update settle.operator_action a
        set deliveries = deliveries + 1,
            due_at = clock_timestamp() + least(interval '5 seconds' * 2 ^ least(deliveries, 10), interval '5 minutes')
       from (select tenant_id, id from settle.operator_action
              where delivered_at is null and due_at <= clock_timestamp()
              order by due_at limit $1 for update skip locked) as due
      where a.tenant_id = due.tenant_id and a.id = due.id
      returning a.tenant_id as "tenantId", a.saga_id as "sagaId", a.operation,
                (select finished_at is not null from settle.saga s where s.id = a.saga_id) as "isSettled"`,
    [limit],
  );
  return rows;
}

/** A place at which the record of actions is not as it was written. */
export interface BrokenLink {
  readonly seq: number;
  readonly id: string;
  readonly problem: string;
}

/** Checks the chain of hashes; empty: nothing was changed or taken out. */
export async function verifyOperatorActions(pool: pg.Pool): Promise<readonly BrokenLink[]> {
  const { rows } = await pool.query<BrokenLink>('select seq, id, problem from settle.verify_operator_actions()');
  return rows;
}
