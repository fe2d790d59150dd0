import { Body, Controller, Get, HttpCode, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PrepareRequest, type HalfMessageView, type PreparedView, type VerdictView } from './half-message-schemas.js';
import type { OutboxMessageView } from './outbox-schemas.js';
import { MessagesService } from './messages.service.js';
import { readIdempotencyKey } from './request-headers.js';

/** `/v1/messages` */
@Controller('v1/messages')
export class MessagesController {
  constructor(@Inject(MessagesService) private readonly messages: MessagesService) {}

  /** 201 once the half message is stored. */
  @Post()
  async prepare(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: PrepareRequest }) body: PrepareRequest,
  ): Promise<PreparedView> {
    const { tenantId } = request;
    const message = await this.messages.prepare({ tenantId, idempotencyKey: readIdempotencyKey(request.raw), body });
    request.sagaId = message.messageId;
    if (message.replayed) void reply.header('idempotent-replayed', 'true');
    void reply.code(201).header('location', `/v1/messages/${message.messageId}`);
    return { messageId: message.messageId, state: 'prepared' };
  }

  /** A half message, or one of the outbox, as it is now. */
  @Get(':id')
  get(
    @Param('id') messageId: string,
    @Req() { tenantId }: FastifyRequest,
  ): Promise<HalfMessageView | OutboxMessageView> {
    return this.messages.get({ tenantId, messageId });
  }

  /** Says that the local transaction has committed: the message will be delivered. */
  @Post(':id/confirm')
  @HttpCode(200)
  confirm(@Param('id') messageId: string, @Req() { tenantId }: FastifyRequest): Promise<VerdictView> {
    return this.messages.decide({ tenantId, messageId }, 'committed');
  }

  /** Says that the local transaction has not committed and never will: the message is dropped. */
  @Post(':id/rollback')
  @HttpCode(200)
  rollBack(@Param('id') messageId: string, @Req() { tenantId }: FastifyRequest): Promise<VerdictView> {
    return this.messages.decide({ tenantId, messageId }, 'rolled-back');
  }
}
