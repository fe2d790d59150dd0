import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { PaymentRequest } from '../messages/payments.js';
import { answerAccepted } from './accept-reply.js';
import type { PaymentAcceptedView, PaymentOpenedView, PaymentView } from './payments.schemas.js';
import { PaymentsService } from './payments.service.js';

/** `/v1/payments` */
@Controller('v1/payments')
export class PaymentsController {
  constructor(@Inject(PaymentsService) private readonly payments: PaymentsService) {}

  /** 202 once the payment's saga is stored; with `Prefer: wait=<s>`, 201 once the payment is opened. */
  @Post()
  pay(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: PaymentRequest }) payment: PaymentRequest,
  ): Promise<PaymentAcceptedView | PaymentOpenedView> {
    return answerAccepted({ request, reply }, this.payments.acceptance(payment));
  }

  /** The payment as it is now, also before its local transaction has run. */
  @Get(':paymentId')
  get(@Param('paymentId') paymentId: string, @Req() { tenantId }: FastifyRequest): Promise<PaymentView> {
    return this.payments.get({ tenantId, paymentId });
  }
}
