import { Inject, Injectable } from '@nestjs/common';
import type { SagaRecord, SagaSummary } from '../db/saga-queries.js';
import { isSagaId } from '../saga/ids.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { stepsOfSaga } from './saga-view.js';
import { waitingFor } from './wait-view.js';
import {
  cursorAfter,
  type CancelView,
  type SagaPage,
  type SagaQuery,
  type SagaSummaryView,
  type SagaView,
} from './schemas.js';

/** One saga, as seen by one tenant. */
export interface SagaKey {
  readonly tenantId: string;
  readonly sagaId: string;
}

/** Shows sagas and takes requests to cancel them. */
@Injectable()
export class SagasService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** @throws ProblemError `not-found` */
  async find(key: SagaKey): Promise<SagaRecord> {
    const saga = isSagaId(key.sagaId) ? await this.parts.ledger.findSaga(key) : undefined;
    if (!saga) throw unknownSaga();
    return saga;
  }

  /** @throws ProblemError `not-found` */
  async get(key: SagaKey): Promise<SagaView> {
    const saga = await this.find(key);
    const { uiUrl, namespace } = this.parts.config.temporal;
    const temporal = `${uiUrl}/namespaces/${encodeURIComponent(namespace)}/workflows/${saga.id}`;
    return {
      ...summaryView(saga),
      parent: saga.parent,
      waitingFor: waitingFor(saga),
      steps: [...stepsOfSaga(saga)],
      actions: saga.actions.map((action) => ({ ...action, at: new Date(action.at).toISOString() })),
      links: { events: `/v1/sagas/${saga.id}/events`, temporal },
    };
  }

  /** A page of the tenant's sagas, newest first. */
  async list(tenantId: string, { type, state, key, cursor, limit }: SagaQuery): Promise<SagaPage> {
    const filter = { tenantId, type, state, businessKey: key, before: cursor };
    // one more than asked for tells whether there is another page
    const found = await this.parts.ledger.listSagas({ ...filter, limit: limit + 1 });
    const sagas = found.slice(0, limit).map(summaryView);
    const last = sagas.at(-1);
    return { sagas, next: found.length > limit && last ? cursorAfter(last.sagaId) : null };
  }

  /**
   * Records that a saga is to be cancelled, and tells its workflow if it can be reached; the scan tells it otherwise.
   *
   * @throws ProblemError `not-found`, `saga-settled` when it is too late, `saga-held` when only another saga can take it back
   */
  async cancel(key: SagaKey, message = 'a client asked for it'): Promise<CancelView> {
    const { ledger, starter, logger } = this.parts;
    const { sagaId } = key;
    if (!isSagaId(sagaId)) throw unknownSaga();
    const reason = { code: 'cancelled', message };
    const answer = await ledger.requestCancel({ ...key, reason });
    if (answer === 'unknown') throw unknownSaga();
    if (answer === 'requested') {
      await starter.signalCancel(sagaId, reason).catch((error: unknown) => {
        logger.warn({ err: error, sagaId }, 'cancel not signalled; the ledger scan will');
      });
    }
    const { state, parent } = await this.find(key);
    if (answer === 'held') {
      const detail = `the saga is done as step '${parent!.step}' of '${parent!.sagaId}'; cancel that one`;
      throw new ProblemError('saga-held', detail, { members: { sagaId, state, parent } });
    }
    if (answer === 'settled') {
      throw new ProblemError('saga-settled', `the saga has settled as ${state}`, { members: { sagaId, state } });
    }
    return { sagaId, state };
  }
}

/** Also for another tenant's. */
export function unknownSaga(): ProblemError {
  return new ProblemError('not-found', 'there is no such saga');
}

/** A saga as lists show it. */
export function summaryView(saga: SagaSummary): SagaSummaryView {
  return {
    sagaId: saga.id,
    type: saga.type,
    state: saga.state,
    reason: saga.reason,
    parkReason: saga.parkReason,
    businessKey: saga.businessKey,
    acceptedAt: saga.acceptedAt.toISOString(),
    updatedAt: saga.updatedAt.toISOString(),
    finishedAt: saga.finishedAt?.toISOString() ?? null,
  };
}
