import type { FastifyReply, FastifyRequest } from 'fastify';
import type { AcceptedSaga } from '../db/saga-store.js';
import { goneSignal } from './gone-signal.js';
import type { Caller } from './intake.js';
import type { WaitOptions } from './ledger-watcher.js';
import { readIdempotencyKey, readTraceparent, readWaitMs } from './request-headers.js';

/** A POST that starts a saga. */
export interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
}

/** What a scenario does with such a request. */
export interface Acceptance<Accepted, Done> {
  accept(caller: Caller): Promise<AcceptedSaga>;
  /** The answer of 202. */
  accepted(saga: AcceptedSaga): Accepted;
  /** The answer of 201, once the local transaction has committed; undefined when the time is over. */
  untilDone(saga: AcceptedSaga, options: WaitOptions): Promise<Done | undefined>;
  /** Where to find what was made. */
  location(saga: AcceptedSaga): string;
}

/**
 * Answers a request that starts a saga: 202 once the saga is stored; with `Prefer: wait=<s>`, 201 once its local transaction
 * has committed.
 *
 * @throws ProblemError of the headers, or of the scenario
 */
export async function answerAccepted<Accepted, Done>(
  { request, reply }: Exchange,
  scenario: Acceptance<Accepted, Done>,
): Promise<Accepted | Done> {
  const { tenantId } = request;
  const withinMs = readWaitMs(request.raw);
  const saga = await scenario.accept({
    tenantId,
    idempotencyKey: readIdempotencyKey(request.raw),
    traceparent: readTraceparent(request.raw),
  });
  request.sagaId = saga.id;
  if (saga.replayed) void reply.header('idempotent-replayed', 'true');
  const done = withinMs && (await scenario.untilDone(saga, { withinMs, signal: goneSignal(reply) }));
  if (done) {
    void reply
      .code(201)
      .headers({ location: scenario.location(saga), 'preference-applied': `wait=${withinMs / 1_000}` });
    return done;
  }
  void reply.code(202).header('location', `/v1/sagas/${saga.id}`);
  return scenario.accepted(saga);
}
