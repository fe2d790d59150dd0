import { Body, Controller, Get, Inject, Param, Post, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RegistrationRequest } from '../messages/registrations.js';
import { answerAccepted } from './accept-reply.js';
import type { RegistrationAcceptedView, UserRegisteredView, RegistrationView } from './registrations.schemas.js';
import { RegistrationsService } from './registrations.service.js';

/** `/v1/registrations` */
@Controller('v1/registrations')
export class RegistrationsController {
  constructor(@Inject(RegistrationsService) private readonly registrations: RegistrationsService) {}

  /** 202 once the saga of the registration is stored; with `Prefer: wait=<s>`, 201 once the user is registered. */
  @Post()
  register(
    @Req() request: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: RegistrationRequest }) registration: RegistrationRequest,
  ): Promise<RegistrationAcceptedView | UserRegisteredView> {
    return answerAccepted({ request, reply }, this.registrations.acceptance(registration));
  }

  /** The registration as it is now, also before its local transaction has run. */
  @Get(':userId')
  get(@Param('userId') userId: string, @Req() { tenantId }: FastifyRequest): Promise<RegistrationView> {
    return this.registrations.get({ tenantId, userId });
  }
}
