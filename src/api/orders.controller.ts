import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OrderRequest, type PlaceOrder } from '../messages/orders.js';
import { goneSignal } from './gone-signal.js';
import { OrdersService } from './orders.service.js';
import { readIdempotencyKey, readWaitMs } from './request-headers.js';
import type { AcceptedView, OrderView, PlacedView } from './schemas.js';

/** `/v1/orders` */
@Controller('v1/orders')
export class OrdersController {
  constructor(@Inject(OrdersService) private readonly orders: OrdersService) {}

  /** 202 once the order's saga is stored; with `Prefer: wait=<s>`, 201 once the order is placed. */
  @Post()
  async place(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: OrderRequest }) order: OrderRequest,
  ): Promise<AcceptedView | PlacedView> {
    const { tenantId } = request;
    const withinMs = readWaitMs(request.raw);
    const saga = await this.orders.accept({ tenantId, idempotencyKey: readIdempotencyKey(request.raw), order });
    request.sagaId = saga.id;
    if (saga.replayed) void reply.header('idempotent-replayed', 'true');
    const { orderId } = saga.input as PlaceOrder;
    const placed = withinMs && (await this.orders.untilPlaced(saga, { withinMs, signal: goneSignal(reply) }));
    if (placed) {
      void reply
        .code(201)
        .headers({ location: `/v1/orders/${orderId}`, 'preference-applied': `wait=${withinMs / 1_000}` });
      return placed;
    }
    void reply.code(202).header('location', `/v1/sagas/${saga.id}`);
    return { sagaId: saga.id, orderId, state: 'accepted' };
  }

  /** The order as it is now, also before its local transaction has run. */
  @Get(':orderId')
  get(@Param('orderId') orderId: string, @Req() { tenantId }: FastifyRequest): Promise<OrderView> {
    return this.orders.get({ tenantId, orderId });
  }
}
