import { randomUUID } from 'node:crypto';
import { Body, Controller, Get, Inject, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { ActionRequest, ParkedQuery, type ActionView, type ParkedPage } from './operator-schemas.js';
import { OperatorService } from './operator.service.js';
import { readTrace } from './request-headers.js';

/** What people do where no retry can help. */
@Controller('v1')
export class OperatorController {
  constructor(@Inject(OperatorService) private readonly operators: OperatorService) {}

  /** A page of the tenant's parked sagas, newest first. */
  @Get('parked')
  list(@Query({ schema: ParkedQuery }) query: ParkedQuery, @Req() { tenantId }: FastifyRequest): Promise<ParkedPage> {
    return this.operators.list(tenantId, query);
  }

  /** 200 once the workflow has answered, 202 while it cannot be reached: the action stands in both cases. */
  @Post('sagas/:id/actions')
  async operate(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: ActionRequest }) body: ActionRequest,
  ): Promise<ActionView> {
    const { id: sagaId } = request.params as { id: string };
    request.sagaId = sagaId;
    const requestId = readTrace(request.raw)?.traceId ?? randomUUID();
    const { view, isDelivered } = await this.operators.operate({ tenantId: request.tenantId, sagaId }, body, requestId);
    void reply.code(isDelivered ? 200 : 202);
    return view;
  }
}
