import { Readable } from 'node:stream';
import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { isTerminal } from '../saga/state.js';
import { goneSignal } from './gone-signal.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import { readLastEventId } from './request-headers.js';
import { sagaEventStream } from './saga-events.js';
import { SagasService } from './sagas.service.js';
import { CancelRequest, SagaQuery, type CancelView, type SagaPage, type SagaView } from './schemas.js';

/** `/v1/sagas` */
@Controller('v1/sagas')
export class SagasController {
  constructor(
    @Inject(SagasService) private readonly sagas: SagasService,
    @Inject(PARTS) private readonly parts: ApiParts,
  ) {}

  /** A page of the tenant's sagas, newest first. */
  @Get()
  list(@Query({ schema: SagaQuery }) query: SagaQuery, @Req() { tenantId }: FastifyRequest): Promise<SagaPage> {
    return this.sagas.list(tenantId, query);
  }

  /** A saga with its steps. */
  @Get(':id')
  get(@Param('id') sagaId: string, @Req() { tenantId }: FastifyRequest): Promise<SagaView> {
    return this.sagas.get({ tenantId, sagaId });
  }

  /** Asks a saga to compensate; repeating it changes nothing. */
  @Post(':id/cancel')
  @HttpCode(202)
  cancel(
    @Param('id') sagaId: string,
    @Req() { tenantId }: FastifyRequest,
    @Body({ schema: CancelRequest }) body: { reason?: string } | undefined,
  ): Promise<CancelView> {
    return this.sagas.cancel({ tenantId, sagaId }, body?.reason);
  }

  /** A saga's changes of state as server-sent events. */
  @Get(':id/events')
  async events(@Param('id') sagaId: string, @Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { watcher, ledger, heartbeatMs } = this.parts;
    const after = readLastEventId(request.raw);
    const saga = await this.sagas.find({ tenantId: request.tenantId, sagaId });
    const isOver = isTerminal(saga.state) && (await ledger.findEventsAfter([{ sagaId, after }])).length === 0;
    // 204 tells an EventSource to stop reconnecting
    if (isOver) return void reply.code(204).send();
    if (!watcher.hasRoom()) {
      throw new ProblemError('too-many-streams', 'this process has as many event streams as it can hold', {
        headers: { 'retry-after': '5' },
      });
    }
    void reply.headers({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
    if (request.method === 'HEAD') return void reply.send();
    const stream = sagaEventStream({ watcher, sagaId, after, heartbeatMs, signal: goneSignal(reply) });
    void reply.send(Readable.from(stream));
  }
}
