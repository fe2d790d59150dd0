import { randomUUID } from 'node:crypto';
import { Body, Controller, Get, Inject, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ActionRequest, ParkedQuery, type ActionView, type ParkedPage } from './operator-schemas.js';
import { isSagaId } from '../saga/ids.js';
import { OperatorService, unknownSubject } from './operator.service.js';
import { readTrace } from './request-headers.js';

/** What people do where no retry can help. */
@Controller('v1')
export class OperatorController {
  constructor(@Inject(OperatorService) private readonly operators: OperatorService) {}

  /** A page of what waits for a person, newest first. */
  @Get('parked')
  list(@Query({ schema: ParkedQuery }) query: ParkedQuery, @Req() { tenantId }: FastifyRequest): Promise<ParkedPage> {
    return this.operators.list(tenantId, query);
  }

  /** 200 once the workflow has answered, 202 while it cannot be reached: the action stands in both cases. */
  @Post('sagas/:id/actions')
  operateSaga(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: ActionRequest }) body: ActionRequest,
  ): Promise<ActionView> {
    return this.operate({ request, reply, body }, isSagaId);
  }

  /** The same for a message. */
  @Post('messages/:id/actions')
  operateMessage(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: ActionRequest }) body: ActionRequest,
  ): Promise<ActionView> {
    return this.operate({ request, reply, body }, (id) => !isSagaId(id));
  }

  private async operate({ request, reply, body }: Call, isOurs: (id: string) => boolean): Promise<ActionView> {
    const { id } = request.params as { id: string };
    if (!isOurs(id)) throw unknownSubject();
    request.sagaId = id;
    const requestId = readTrace(request.raw)?.traceId ?? randomUUID();
    const { view, isDelivered } = await this.operators.operate({ tenantId: request.tenantId, id }, body, requestId);
    void reply.code(isDelivered ? 200 : 202);
    return view;
  }
}

interface Call {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly body: ActionRequest;
}
