import { Inject, Injectable } from '@nestjs/common';
import { isSagaId } from '../saga/ids.js';
import { isTerminal } from '../saga/state.js';
import type { EventReceivedView } from './awaited-events.schemas.js';
import { hashOf } from './canonical-json.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { unknownSaga, type SagaKey } from './sagas.service.js';
import { invalidRequest } from './schema.pipe.js';
import { Json } from './storable-json.js';

/** Takes the events that sagas wait for. */
@Injectable()
export class AwaitedEventsService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /**
   * Records an event, and tells its saga's workflow if it can be reached; the scan tells it otherwise.
   * The saga and the event's name are its key: the same body again brings the same answer.
   *
   * @throws ProblemError `not-found`, `unknown-event`, `invalid-request`, `event-decided`, `event-too-late`, `saga-settled`
   */
  async receive(key: SagaKey, event: string, body: unknown): Promise<{ view: EventReceivedView; isRepeated: boolean }> {
    if (!isSagaId(key.sagaId)) throw unknownSaga();
    const { sagaId } = key;
    const answer = await this.parts.ledger.recordEvent({
      ...{ ...key, event, bodyHash: hashOf(body ?? null) },
      parse: () => this.parse(event, body),
    });
    switch (answer.kind) {
      case 'unknown-saga':
        throw unknownSaga();
      case 'unknown-event': {
        const { events } = answer;
        throw new ProblemError('unknown-event', describeEvents(events), { members: { sagaId, events } });
      }
      case 'decided': {
        const members = { sagaId, event, receivedAt: answer.receivedAt.toISOString() };
        throw new ProblemError('event-decided', `'${event}' has come with another body`, { members });
      }
      case 'late': {
        const { state, reason } = answer;
        const problem = isTerminal(state) ? 'saga-settled' : 'event-too-late';
        throw new ProblemError(problem, `'${event}' comes too late: ${reason.message}`, {
          members: { sagaId, state, reason },
        });
      }
      case 'recorded': {
        const { receivedAt, isRepeated } = answer;
        if (!isRepeated) await this.tell(sagaId);
        return { view: { sagaId, event, receivedAt: receivedAt.toISOString() }, isRepeated };
      }
    }
  }

  private parse(event: string, body: unknown): unknown {
    const contract = this.parts.events.get(event);
    if (!contract) throw invalidRequest([{ message: `cannot be read: this release does not know '${event}'` }], 'body');
    const parsed = contract.body.pipe(Json).safeParse(body);
    if (!parsed.success) throw invalidRequest(parsed.error.issues, 'body');
    return parsed.data;
  }

  private async tell(sagaId: string): Promise<void> {
    const { starter, logger } = this.parts;
    await starter.signalNews(sagaId).catch((error: unknown) => {
      logger.warn({ err: error, sagaId }, 'event not told; the ledger scan will');
    });
  }
}

function describeEvents(events: readonly string[]): string {
  if (events.length === 0) return 'the saga waits for no events';
  return `the saga waits for ${events.map((name) => `'${name}'`).join(', ')} only`;
}
