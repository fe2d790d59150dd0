import { Body, Controller, HttpCode, Inject, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import type { EventReceivedView } from './awaited-events.schemas.js';
import { AwaitedEventsService } from './awaited-events.service.js';

/** Events that sagas wait for. */
@Controller('v1/sagas/:id/events')
export class AwaitedEventsController {
  constructor(@Inject(AwaitedEventsService) private readonly events: AwaitedEventsService) {}

  /** 202 once the event is recorded, whether its saga waits already or not yet. */
  @Post(':name')
  @HttpCode(202)
  async receive(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    // its schema is that of the event, which the saga's plan names
    @Body() body: unknown,
  ): Promise<EventReceivedView> {
    const { id: sagaId, name } = request.params as { id: string; name: string };
    request.sagaId = sagaId;
    const { view, isRepeated } = await this.events.receive({ tenantId: request.tenantId, sagaId }, name, body);
    if (isRepeated) void reply.header('idempotent-replayed', 'true');
    return view;
  }
}
