import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { RESOLVED_MANUALLY, sendsAgain, type AnyAction, type Operation } from '../saga/operator.js';
import { timeOfId } from '../saga/ids.js';
import { subjectKind, type SubjectKind } from '../saga/subject.js';
import { isBeyondWindow } from '../saga/windows.js';
import { openHalfMessage } from './message-operations.js';
import type { OperatorRequest, Subject } from './operator-subject.js';
import { openOutboxMessage } from './outbox-operations.js';
import { versionOf, type ParkedItem } from './parked-items.js';
import { withTransaction, type Transaction } from './pool.js';
import { openSaga } from './saga-operations.js';

/** An action as it stands in the ledger. */
export interface RecordedAction {
  readonly actionId: string;
  readonly subjectId: string;
  readonly step: string;
  readonly action: AnyAction;
  readonly actor: string;
  readonly reason: string;
  readonly mayRepeat: boolean;
  readonly at: Date;
  /** The saga's or message's state right after it. */
  readonly state: string;
  readonly operation: Operation;
  /** Null until the workflow has answered. */
  readonly deliveredAt: Date | null;
}

/** A state that an action was refused in, and what would have been accepted. */
export interface LegalNow {
  readonly state: string;
  readonly reason: Reason | null;
  readonly legal: readonly { readonly step: string; readonly actions: readonly AnyAction[] }[];
}

/** What became of a request. */
export type OperatorAnswer =
  | { readonly kind: 'recorded'; readonly action: RecordedAction; readonly isRepeated: boolean }
  | { readonly kind: 'reused' }
  | { readonly kind: 'unknown' }
  /** Not possible now, or no longer as the operator saw it. */
  | { readonly kind: 'illegal' | 'changed'; readonly now: LegalNow }
  /** So old that the participant may have forgotten the effect. */
  | { readonly kind: 'forgotten'; readonly ageMs: number };

/** What an action is held against. */
export interface OperatorRules {
  /** Throws when what was given does not fit the item; then nothing is recorded. */
  readonly check: (item: ParkedItem) => void;
  /** How old a subject may be that is sent again without `mayRepeat`. */
  readonly windowMs: number;
}

const COLUMNS = `id as "actionId", subject_id as "subjectId", step, action, actor, reason, may_repeat as "mayRepeat", at,
  after ->> 'state' as state, operation, delivered_at as "deliveredAt"`;

/** The API tells the workflow at once; when it could not, the scan does after this. */
const DELIVERY_GRACE = '5 seconds';

const OPEN: Readonly<Record<SubjectKind, (tx: Transaction, request: OperatorRequest) => Promise<Subject | undefined>>> =
  {
    saga: openSaga,
    'half-message': openHalfMessage,
    'outbox-message': openOutboxMessage,
  };

/** Records an operator's action and changes the ledger accordingly, in one transaction. An id that is known changes nothing. */
export async function recordOperatorAction(
  pool: pg.Pool,
  request: OperatorRequest,
  rules: OperatorRules,
): Promise<OperatorAnswer> {
  const { tenantId, actionId, subjectId } = request;
  const kind = subjectKind(subjectId);
  if (!kind) return { kind: 'unknown' };
  return withTransaction(pool, async (tx) => {
    await tx.query('select pg_advisory_xact_lock(hashtextextended($1, 0))', [`operator ${tenantId} ${actionId}`]);
    const known = await findAction(tx, request);
    if (known) return known;
    const subject = await OPEN[kind](tx, request);
    if (!subject) return { kind: 'unknown' };
    const item = chooseItem(subject.items, request);
    if (!item) return { kind: 'illegal', now: legalNow(subject) };
    if (versionOf(item) !== (request.version ?? versionOf(item))) return { kind: 'changed', now: legalNow(subject) };
    rules.check(item);
    if (needsConsent(item, request, rules.windowMs))
      return { kind: 'forgotten', ageMs: Date.now() - timeOfId(item.id)! };
    return { kind: 'recorded', action: await perform(tx, request, { subject, item }), isRepeated: false };
  });
}

/** Whether an action may repeat the effect, and nobody has said that it may. */
export function needsConsent(
  { kind, id }: ParkedItem,
  { action, mayRepeat = false }: Pick<OperatorRequest, 'action' | 'mayRepeat'>,
  windowMs: number,
): boolean {
  return !mayRepeat && sendsAgain(kind, action) && isBeyondWindow(id, Date.now(), windowMs);
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

/** The item that is meant, when what is asked for may be done about it. */
function chooseItem(
  items: readonly ParkedItem[],
  { step, action }: Pick<OperatorRequest, 'step' | 'action'>,
): ParkedItem | undefined {
  const meant = step === undefined ? items : items.filter((item) => item.step === step);
  // the whole saga is meant whichever of its parked steps is named
  const isClear = meant.length === 1 || action === 'resolve' || action === 'compensate';
  return isClear ? meant.find(({ actions }) => actions.includes(action)) : undefined;
}

function legalNow({ state, reason, items }: Subject): LegalNow {
  return { state, reason, legal: items.map(({ step, actions }) => ({ step, actions })) };
}

async function perform(
  tx: Transaction,
  request: OperatorRequest,
  { subject, item }: { subject: Subject; item: ParkedItem },
): Promise<RecordedAction> {
  const operation = operationOf(request, item);
  const before = await subject.snapshot(item);
  await subject.change(request, item, operation);
  const after = await subject.snapshot(item);
  const { rows } = await tx.query<RecordedAction>(
    `insert into settle.operator_action
       (tenant_id, id, subject_id, step, action, actor, reason, request_id, request_hash, before, after, operation, may_repeat,
        due_at, delivered_at)
     values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,
             case when not $14::boolean then clock_timestamp() + interval '${DELIVERY_GRACE}' end,
             case when $14 then clock_timestamp() end)
     returning ${COLUMNS}`,
    [
      ...[request.tenantId, request.actionId, item.id, item.step, request.action, request.actor, request.reason],
      ...[request.requestId, request.requestHash, before, after, JSON.stringify(operation), request.mayRepeat ?? false],
      subject.isHeard ?? false,
    ],
  );
  return rows[0]!;
}

function operationOf(request: OperatorRequest, { step }: ParkedItem): Operation {
  const { action, actor, actionId, outcome } = request;
  const codes: Partial<Record<AnyAction, string>> = {
    compensate: 'compensated-by-operator',
    resolve: RESOLVED_MANUALLY,
  };
  const reason: Reason = { code: codes[action] ?? action, message: `${actor}: ${request.reason}`, step };
  return { actionId, action, step, reason, outcome };
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

/** What an operator did; the time is ISO 8601. */
export interface ActionRow {
  readonly actionId: string;
  readonly step: string;
  readonly action: AnyAction;
  readonly actor: string;
  readonly reason: string;
  readonly at: string;
}

/** What operators did about a saga or message of a tenant, in order. */
export async function listActions(
  pool: pg.Pool,
  { tenantId, subjectId }: Pick<OperatorRequest, 'tenantId' | 'subjectId'>,
): Promise<readonly ActionRow[]> {
  const { rows } = await pool.query<Omit<ActionRow, 'at'> & { at: Date }>(
    `select id as "actionId", step, action, actor, reason, at
       from settle.operator_action where subject_id = $1 and tenant_id = $2 order by seq`,
    [subjectId, tenantId],
  );
  return rows.map(({ at, ...row }) => ({ ...row, at: at.toISOString() }));
}

/** An action that its workflow may not have heard of. */
export interface UndeliveredAction {
  readonly tenantId: string;
  readonly subjectId: string;
  readonly operation: Operation;
  /** Whether the saga or message has ended: then a workflow that is gone needs not be told. */
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
      returning a.tenant_id as "tenantId", a.subject_id as "subjectId", a.operation,
                not exists (select from settle.saga where id = a.subject_id and finished_at is null
                             union all
                            select from settle.half_message where id = a.subject_id and finished_at is null) as "isSettled"`,
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
