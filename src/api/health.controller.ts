import { Controller, Get, Inject, Res } from '@nestjs/common';
import type { FastifyReply } from 'fastify';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import type { HealthView } from './schemas.js';

/** A probe wants an answer sooner than a broken connection gives up. */
const PROBE_MS = 1_500;

/** `/health` and `/metrics`, for supervisors */
@Controller()
export class HealthController {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** The process runs. */
  @Get('health/live')
  live(): HealthView {
    return { status: 'ok' };
  }

  /** Requests can be accepted: the ledger answers. Without Temporal they still can, and wait for it. */
  @Get('health/ready')
  async ready(): Promise<HealthView> {
    const [postgres, temporal] = await Promise.all([
      within(this.parts.ledger.ping().then(() => true)),
      within(this.parts.starter.isReachable()),
    ]);
    const members = { postgres: postgres ? 'up' : 'down', temporal: temporal ? 'up' : 'down' } as const;
    if (members.postgres === 'down') {
      throw new ProblemError('database-unavailable', 'the ledger does not answer', {
        members,
        headers: { 'retry-after': '1' },
      });
    }
    return { status: temporal ? 'ok' : 'degraded', postgres: 'up', temporal: members.temporal };
  }

  /** Counts and durations in the format of Prometheus. */
  @Get('metrics')
  async metrics(@Res({ passthrough: true }) reply: FastifyReply): Promise<string> {
    const { contentType, text } = await this.parts.metrics.render();
    void reply.header('content-type', contentType);
    return text;
  }
}

async function within(probe: Promise<boolean>): Promise<boolean> {
  let timer: NodeJS.Timeout | undefined;
  const timeOver = new Promise<boolean>((resolve) => {
    timer = setTimeout(() => resolve(false), PROBE_MS);
  });
  try {
    return await Promise.race([probe.catch(() => false), timeOver]);
  } finally {
    clearTimeout(timer);
  }
}
