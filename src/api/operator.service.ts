import { Inject, Injectable } from '@nestjs/common';
import type { RecordedAction } from '../db/operator-actions.js';
import { parkedItems, type ParkedItem, type ParkedRecord } from '../db/parked-queries.js';
import { effectKey, isSagaId } from '../saga/ids.js';
import { hashOf } from './canonical-json.js';
import type {
  ActionRequest,
  ActionView,
  ParkedPage,
  ParkedQuery,
  ParkedSagaView,
  ParkedStepView,
} from './operator-schemas.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { summaryView, unknownSaga, type SagaKey } from './sagas.service.js';
import { cursorAfter } from './schemas.js';

/** Shows what waits for a person, and does what the person decides. */
@Injectable()
export class OperatorService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** A page of the tenant's parked sagas, newest first. */
  async list(tenantId: string, { cursor, limit }: ParkedQuery): Promise<ParkedPage> {
    const found = await this.parts.ledger.listParked({ tenantId, before: cursor, limit: limit + 1 });
    const sagas = found.slice(0, limit).map(parkedView);
    const last = sagas.at(-1);
    return { sagas, next: found.length > limit && last ? cursorAfter(last.sagaId) : null };
  }

  /**
   * Records an action, then tells the workflow; while that cannot be reached, the scan does.
   *
   * @throws ProblemError `not-found`, `action-not-legal`, `action-id-reused`, or `invalid-request` for what breaks the contract
   */
  async operate(
    key: SagaKey,
    body: ActionRequest,
    requestId: string,
  ): Promise<{ view: ActionView; isDelivered: boolean }> {
    if (!isSagaId(key.sagaId)) throw unknownSaga();
    const request = { ...key, ...body, requestId, requestHash: hashOf({ ...body, sagaId: key.sagaId }) };
    const answer = await this.parts.ledger.recordOperatorAction(request, (item) => this.check(item, body));
    switch (answer.kind) {
      case 'unknown':
        throw unknownSaga();
      case 'reused':
        throw new ProblemError('action-id-reused', 'the actionId was used for another action');
      case 'illegal': {
        const { state, legal } = answer.now;
        const detail = legal.length === 0 ? `the saga is ${state}: no step is parked` : describeLegal(legal, body);
        throw new ProblemError('action-not-legal', detail, { members: { sagaId: key.sagaId, state, legal } });
      }
      case 'recorded': {
        const isDelivered = answer.action.deliveredAt !== null || (await this.deliver(key.tenantId, answer.action));
        return { view: actionView(answer.action), isDelivered };
      }
    }
  }

  /** @throws ProblemError when what is attested or edited is not what the contract says */
  private check({ step, parked, message }: ParkedItem, body: ActionRequest): void {
    if (body.action === 'skip') {
      const isNeeded = parked.action === 'do';
      if (isNeeded !== (body.result !== undefined)) {
        throw invalid(
          '/result',
          isNeeded ? 'must be given: later steps may read it' : 'must be absent: an undo has none',
        );
      }
      if (isNeeded && step.type !== 'local') this.checkAgainst(step.action, 'result', body.result);
    }
    if (body.action === 'edit') this.checkAgainst(message!.type, 'payload', body.payload);
  }

  /** Of a message either; of an event that a step waits for what it would have said. */
  private checkAgainst(type: string, member: 'result' | 'payload', value: unknown): void {
    const { contracts, events } = this.parts;
    const schema = contracts.get(type)?.[member] ?? events.get(type)?.body;
    if (!schema) throw invalid(`/${member}`, `cannot be checked: this release has no contract for '${type}'`);
    const parsed = schema.safeParse(value);
    if (parsed.success) return;
    const { path = [], message } = parsed.error.issues[0] ?? { message: 'is wrong' };
    throw invalid(['', member, ...path.map(String)].join('/'), `breaks the contract of '${type}': ${message}`);
  }

  private async deliver(tenantId: string, { actionId, sagaId, operation }: RecordedAction): Promise<boolean> {
    const { starter, ledger, logger } = this.parts;
    try {
      const answer = await starter.operate(sagaId, operation);
      if (answer === 'gone' && operation.action !== 'resolve') return false;
      await ledger.markDelivered({ tenantId, actionId });
      return true;
    } catch (error) {
      logger.warn({ err: error, sagaId, actionId }, 'action not delivered; the ledger scan will');
      return false;
    }
  }
}

function describeLegal(
  legal: readonly { step: string; actions: readonly string[] }[],
  { action }: ActionRequest,
): string {
  const each = legal.map(({ step, actions }) => `'${step}': ${actions.join(', ')}`).join('; ');
  return `'${action}' is not possible now, or the step must be named; possible are ${each}`;
}

function invalid(pointer: string, detail: string): ProblemError {
  return new ProblemError('invalid-request', 'the body is not as documented', { errors: [{ pointer, detail }] });
}

function parkedView(saga: ParkedRecord): ParkedSagaView {
  return { ...summaryView(saga), parked: parkedItems(saga).map((item) => stepView(saga.id, item)) };
}

function stepView(sagaId: string, { step, parked, message, actions }: ParkedItem): ParkedStepView {
  const { code, message: text, action, at } = parked;
  return {
    step: step.name,
    direction: action,
    action: action === 'do' ? step.action : step.undo!,
    reason: { code, message: text, step: step.name },
    since: new Date(at).toISOString(),
    effectKey: effectKey({ sagaId, step: step.name, action }),
    attempts: message?.attempts ?? null,
    revision: message?.revision ?? null,
    payload: message?.payload ?? null,
    lastError: message?.lastError ?? null,
    actions: [...actions],
  };
}

function actionView({ operation: _, deliveredAt: __, at, ...action }: RecordedAction): ActionView {
  return { ...action, at: at.toISOString() };
}
