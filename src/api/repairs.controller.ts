import { Body, Controller, Get, HttpCode, Inject, Param, Post, Query, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { RepairConfirmation, RepairPageQuery, RepairRequest, type RepairView } from './repair-schemas.js';
import { RepairsService } from './repairs.service.js';

/** `/v1/repairs` */
@Controller('v1/repairs')
export class RepairsController {
  constructor(@Inject(RepairsService) private readonly repairs: RepairsService) {}

  /** 201 with the preview: the calls that a confirmation would make. */
  @Post()
  async preview(
    @Req() { tenantId }: FastifyRequest,
    @Res({ passthrough: true }) reply: FastifyReply,
    @Body({ schema: RepairRequest }) body: RepairRequest,
  ): Promise<RepairView> {
    const view = await this.repairs.preview(tenantId, body);
    void reply.code(201).header('location', `/v1/repairs/${view.repairId}`);
    return view;
  }

  /** A repair and a page of its items. */
  @Get(':id')
  get(
    @Param('id') repairId: string,
    @Req() { tenantId }: FastifyRequest,
    @Query({ schema: RepairPageQuery }) query: RepairPageQuery,
  ): Promise<RepairView> {
    return this.repairs.get({ tenantId, repairId }, query);
  }

  /** 202: it runs. */
  @Post(':id/confirm')
  @HttpCode(202)
  confirm(
    @Param('id') repairId: string,
    @Req() { tenantId }: FastifyRequest,
    @Body({ schema: RepairConfirmation }) body: RepairConfirmation,
  ): Promise<RepairView> {
    return this.repairs.confirm({ tenantId, repairId }, body);
  }

  /** 202: no further call is made. */
  @Post(':id/cancel')
  @HttpCode(202)
  cancel(@Param('id') repairId: string, @Req() { tenantId }: FastifyRequest): Promise<RepairView> {
    return this.repairs.cancel({ tenantId, repairId });
  }
}
