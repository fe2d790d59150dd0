import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { effectKey, type StepAction } from '../saga/ids.js';
import type { AnyAction } from '../saga/operator.js';
import type { PlanStep } from '../saga/plan.js';
import { uuidOf, type SubjectKind } from '../saga/subject.js';
import { listDeadMessages } from './dead-messages.js';
import { listParkedMessages, type ParkedMessageRow } from './parked-messages.js';
import { listParkedSagas, parkedSteps, type ParkedRecord, type ParkedStep } from './parked-queries.js';

/** What waits for an operator: a step of a saga, or a message. */
export interface ParkedItem {
  readonly kind: SubjectKind;
  /** Of the saga or message. */
  readonly id: string;
  /** Of the saga, or of the message. */
  readonly type: string;
  /** Of the saga; null for a message. */
  readonly businessKey: string | null;
  /** Of a message always `message`. */
  readonly step: string;
  readonly direction: StepAction;
  /** Of a message always `message`. */
  readonly stepType: PlanStep['type'];
  /** The local transaction's name, or the message type. */
  readonly action: string;
  readonly reason: Reason;
  readonly since: Date;
  readonly effectKey: string;
  /** Null for a local transaction. */
  readonly attempts: number | null;
  readonly revision: number | null;
  readonly payload: unknown;
  readonly lastError: string | null;
  /** What may be done about it; everything else is refused. */
  readonly actions: readonly AnyAction[];
}

/** Which parked items are meant; all conditions that are given must hold. */
export interface ParkedFilter {
  readonly kind?: SubjectKind;
  readonly id?: string;
  readonly type?: string;
  /** The reason's code. */
  readonly reason?: string;
  readonly step?: string;
  /** Parked for at least so long. */
  readonly olderThanMs?: number;
}

/** A page of them. */
export interface ParkedQuestion {
  readonly tenantId: string;
  readonly filter: ParkedFilter;
  /** The id of the last saga or message of the page before. */
  readonly before?: string;
  /** Sagas and messages at the most; a saga may bring several items. */
  readonly limit: number;
}

/** A page of what waits for a person. */
export interface ParkedItems {
  readonly items: readonly ParkedItem[];
  /** The id of its last saga or message, when there are more. */
  readonly last?: string;
}

/** Everything of a tenant that waits for a person, newest first by the time in the ids. */
export async function listParked(pool: pg.Pool, asked: ParkedQuestion): Promise<ParkedItems> {
  const { filter, limit } = asked;
  const question = { ...asked, limit: limit + 1 };
  const wants = (kind: SubjectKind): boolean => filter.kind === undefined || filter.kind === kind;
  const [sagas, messages, dead] = await Promise.all([
    wants('saga') ? listParkedSagas(pool, question) : [],
    wants('half-message') && (filter.step ?? 'message') === 'message' ? listParkedMessages(pool, question) : [],
    wants('outbox-message') && (filter.step ?? 'message') === 'message' ? listDeadMessages(pool, question) : [],
  ]);
  const subjects = [
    ...sagas.map((saga) => ({ id: saga.id, items: sagaItems(saga).filter((item) => isMeant(item, filter)) })),
    ...messages.map((message) => ({ id: message.id, items: [messageItem('half-message', message)] })),
    ...dead.map((message) => ({ id: message.id, items: [messageItem('outbox-message', message)] })),
  ];
  const newestFirst = subjects.toSorted((a, b) => (uuidOf(a.id) < uuidOf(b.id) ? 1 : -1));
  const page = newestFirst.slice(0, limit);
  return {
    items: page.flatMap(({ items }) => items),
    last: newestFirst.length > limit ? page.at(-1)?.id : undefined,
  };
}

/** The parked steps of a saga as items. */
export function sagaItems(saga: ParkedRecord): readonly ParkedItem[] {
  return parkedSteps(saga).map((step) => stepItem(saga, step));
}

/** A parked step as an item. */
export function stepItem(saga: ParkedRecord, { step, parked, message, actions }: ParkedStep): ParkedItem {
  const { code, message: text, action, at } = parked;
  return {
    ...{ kind: 'saga', id: saga.id, type: saga.type, businessKey: saga.businessKey },
    ...{ step: step.name, direction: action, stepType: step.type },
    action: action === 'do' ? step.action : step.undo!,
    reason: { code, message: text, step: step.name },
    since: new Date(at),
    effectKey: effectKey({ sagaId: saga.id, step: step.name, action }),
    attempts: message?.attempts ?? null,
    revision: message?.revision ?? null,
    payload: message?.payload ?? null,
    lastError: message?.lastError ?? null,
    actions,
  };
}

/** A parked message as an item. */
export function messageItem(
  kind: Exclude<SubjectKind, 'saga'>,
  { id, type, parkReason, ...message }: ParkedMessageRow,
): ParkedItem {
  return {
    ...{
      kind,
      id,
      type,
      businessKey: null,
      step: 'message',
      direction: 'do',
      stepType: 'message',
      action: type,
    },
    reason: parkReason,
    effectKey: effectKey({ sagaId: id, step: 'message', action: 'do' }),
    ...message,
  };
}

/** What of an item changes with everything that happens to it: an operator who decides on it means it as it was. */
export function versionOf({ since, revision }: ParkedItem): string {
  return `${since.toISOString()} r${revision ?? 0}`;
}

function isMeant({ reason, step, since }: ParkedItem, filter: ParkedFilter): boolean {
  return (
    (filter.reason ?? reason.code) === reason.code &&
    (filter.step ?? step) === step &&
    Date.now() - since.getTime() >= (filter.olderThanMs ?? 0)
  );
}
