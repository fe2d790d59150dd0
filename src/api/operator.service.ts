import { Inject, Injectable } from '@nestjs/common';
import type { OperatorAnswer, RecordedAction } from '../db/operator-actions.js';
import type { ParkedItem } from '../db/parked-items.js';
import { subjectKind } from '../saga/subject.js';
import { days, isBeyondWindow } from '../saga/windows.js';
import { hashOf } from './canonical-json.js';
import { checkItem } from './operator-check.js';
import type { ActionRequest, ActionView, ParkedPage, ParkedQuery, ParkedView } from './operator-schemas.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { cursorAfter } from './schemas.js';

/** A saga or message of a tenant. */
export interface SubjectKey {
  readonly tenantId: string;
  readonly id: string;
}

/** Shows what waits for a person, and does what the person decides. */
@Injectable()
export class OperatorService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** A page of what waits for a person, newest first. */
  async list(tenantId: string, { cursor, limit, ...filter }: ParkedQuery): Promise<ParkedPage> {
    const { items, last } = await this.parts.ledger.listParked({ tenantId, filter, before: cursor, limit });
    const { manualWindowMs } = this.parts;
    return {
      items: items.map((item) => parkedView(item, manualWindowMs)),
      next: last === undefined ? null : cursorAfter(last),
    };
  }

  /**
   * Records an action, then tells the workflow; while that cannot be reached, the scan does.
   *
   * @throws ProblemError `not-found`, `action-not-legal`, `may-repeat-effect`, `action-id-reused`, or `invalid-request` for what
   *   breaks the contract
   */
  async operate(
    { tenantId, id }: SubjectKey,
    body: ActionRequest,
    requestId: string,
  ): Promise<{ view: ActionView; isDelivered: boolean }> {
    const { ledger, manualWindowMs } = this.parts;
    const request = { tenantId, subjectId: id, ...body, requestId, requestHash: hashOf({ ...body, sagaId: id }) };
    const answer = await ledger.recordOperatorAction(request, {
      check: (item) => checkItem(this.parts, item, body),
      windowMs: manualWindowMs,
    });
    if (answer.kind !== 'recorded') throw this.refusal(answer, id, body);
    const isDelivered = answer.action.deliveredAt !== null || (await this.deliver(tenantId, answer.action));
    return { view: actionView(answer.action), isDelivered };
  }

  private refusal(
    answer: Exclude<OperatorAnswer, { kind: 'recorded' }>,
    id: string,
    { action }: ActionRequest,
  ): ProblemError {
    switch (answer.kind) {
      case 'unknown':
        return unknownSubject();
      case 'reused':
        return new ProblemError('action-id-reused', 'the actionId was used for another action');
      case 'forgotten':
        return mayRepeat(answer.ageMs, this.parts.manualWindowMs);
      default: {
        const { state, legal } = answer.now;
        const each = legal.map(({ step, actions }) => `'${step}': ${actions.join(', ')}`).join('; ');
        const detail =
          legal.length === 0
            ? `it is ${state}: nothing of it is parked`
            : `'${action}' is not possible now, or the step must be named; possible are ${each}`;
        return new ProblemError('action-not-legal', detail, { members: { id, state, legal } });
      }
    }
  }

  private async deliver(tenantId: string, { actionId, subjectId, operation }: RecordedAction): Promise<boolean> {
    const { starter, ledger, logger } = this.parts;
    try {
      const answer = await starter.operate(subjectId, operation);
      if (answer === 'gone' && !ENDING.includes(operation.action)) return false;
      await ledger.markDelivered({ tenantId, actionId });
      return true;
    } catch (error) {
      logger.warn({ err: error, sagaId: subjectId, actionId }, 'action not delivered; the ledger scan will');
      return false;
    }
  }
}

/** After these nothing is left to do for a workflow that has gone. */
const ENDING: readonly string[] = ['resolve', 'discard'];

function mayRepeat(ageMs: number, windowMs: number): ProblemError {
  const detail =
    `it is ${days(ageMs)} old, and participants are counted on to remember for ${days(windowMs)}: ` +
    'it may be applied twice, or its undo may find nothing; mayRepeat: true takes that risk';
  return new ProblemError('may-repeat-effect', detail, { members: { ageMs, windowMs } });
}

/** The problem of a saga or message that is not there, or another tenant's. */
export function unknownSubject(): ProblemError {
  return new ProblemError('not-found', 'there is no such saga or message');
}

function parkedView({ stepType: _, since, actions, ...item }: ParkedItem, windowMs: number): ParkedView {
  return {
    ...item,
    since: since.toISOString(),
    mayRepeat: isBeyondWindow(item.id, Date.now(), windowMs),
    actions: [...actions],
  };
}

function actionView({ operation: _, deliveredAt: __, at, subjectId, ...action }: RecordedAction): ActionView {
  return { ...action, kind: subjectKind(subjectId)!, id: subjectId, at: at.toISOString() };
}
