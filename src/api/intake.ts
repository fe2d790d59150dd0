import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { AcceptedSaga, NewSaga } from '../db/saga-store.js';
import type { EffectEnd } from '../db/saga-queries.js';
import { effectKey, sagaId } from '../saga/ids.js';
import type { Place } from '../saga/lane.js';
import { allSteps } from '../saga/plan.js';
import { hashOf } from './canonical-json.js';
import type { WaitOptions } from './ledger-watcher.js';
import { PARTS, type ApiParts, type StartableDefinition } from './parts.js';
import { ProblemError, type ProblemName } from './problems.js';

/** Who asks for a saga, and under which key. */
export interface Caller {
  readonly tenantId: string;
  readonly idempotencyKey: string;
  /** W3C trace context. */
  readonly traceparent?: string;
}

/** A request for a saga, of whatever type. */
export interface SagaRequest<Input> extends Caller {
  readonly definition: StartableDefinition<Input>;
  /** What the client sent: the same key with another body is refused. */
  readonly body: object;
  /** With the id that this request would make; a repeated one finds the first one's. */
  readonly input: Input;
}

/** What a refusal says. */
export interface Refusal {
  readonly problem: ProblemName;
  /** The id of what was refused, e.g. `{ orderId }`. */
  readonly members: Readonly<Record<string, unknown>>;
  /** For a saga that was undone before its local transaction ran. */
  readonly undone: string;
}

/** The way of every request into the ledger. */
@Injectable()
export class Intake {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /**
   * Stores a saga, or finds the one that the same request was accepted for; once this returns, it settles.
   *
   * @throws ProblemError `backlog-full`, or `idempotency-key-reused` when the key belongs to another request
   */
  async accept<Input>({
    tenantId,
    idempotencyKey,
    traceparent,
    definition,
    body,
    input,
  }: SagaRequest<Input>): Promise<AcceptedSaga> {
    const { backlog, ledger, starter, express, metrics } = this.parts;
    const { type, businessKey, plan } = definition;
    const admit = (place: Place | undefined): Promise<void> => backlog.admit({ tenantId, idempotencyKey }, place);
    await admit(express?.placeFor(type));
    const requestHash = hashOf({ type, body });
    const request: NewSaga = {
      id: sagaId(v7()),
      tenantId,
      idempotencyKey,
      requestHash,
      type,
      businessKey: businessKey(input),
      plan,
      input,
      traceparent,
    };
    const inExpress = await express?.accept(request);
    // it takes the other lane after all, unless this one has filled up meanwhile: what that has no place for must not flood the other
    if (express && !inExpress) await admit(express.placeFor(type) === 'full' ? 'full' : undefined);
    const saga = inExpress ?? (await ledger.acceptSaga({ ...request, startGraceMs: backlog.startGraceMs() }));
    if (saga.requestHash !== requestHash) {
      throw new ProblemError('idempotency-key-reused', 'this Idempotency-Key was accepted with another request');
    }
    if (saga.replayed) metrics.countReplayed(type);
    else {
      metrics.countAccepted(type);
      if (!inExpress) starter.startSoon(saga);
    }
    return saga;
  }

  /**
   * Waits for a saga's local transaction.
   *
   * @returns whether it has committed; false when the time is over
   * @throws ProblemError as the refusal says, when it refused or will never run
   */
  async untilLocal(saga: AcceptedSaga, refusal: Refusal, options: WaitOptions): Promise<boolean> {
    const end = saga.local ?? (await this.untilLocalEnds(saga, options));
    if (!end) return false;
    if (end.status === 'applied') return true;
    const reason = end.reason ?? { code: 'compensated', message: refusal.undone };
    throw new ProblemError(refusal.problem, reason.message, {
      members: { sagaId: saga.id, ...refusal.members, reason },
    });
  }

  private async untilLocalEnds(saga: AcceptedSaga, options: WaitOptions): Promise<EffectEnd | undefined> {
    const { watcher } = this.parts;
    const local = allSteps(saga.plan).find(({ type }) => type === 'local');
    if (!local || !watcher.hasRoom()) return undefined;
    const key = effectKey({ sagaId: saga.id, step: local.name, action: 'do' });
    return watcher.untilEffectEnds({ sagaId: saga.id, effectKey: key }, options);
  }
}
