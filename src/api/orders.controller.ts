import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { OrderRequest } from '../messages/orders.js';
import { answerAccepted } from './accept-reply.js';
import { OrdersService } from './orders.service.js';
import type { AcceptedView, OrderView, PlacedView } from './schemas.js';

/** `/v1/orders` */
@Controller('v1/orders')
export class OrdersController {
  constructor(@Inject(OrdersService) private readonly orders: OrdersService) {}

  /** 202 once the order's saga is stored; with `Prefer: wait=<s>`, 201 once the order is placed. */
  @Post()
  place(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: OrderRequest }) order: OrderRequest,
  ): Promise<AcceptedView | PlacedView> {
    return answerAccepted({ request, reply }, this.orders.acceptance(order));
  }

  /** The order as it is now, also before its local transaction has run. */
  @Get(':orderId')
  get(@Param('orderId') orderId: string, @Req() { tenantId }: FastifyRequest): Promise<OrderView> {
    return this.orders.get({ tenantId, orderId });
  }
}
