import { Readable } from 'node:stream';
import { Controller, Get, Inject, Req, Res } from '@nestjs/common';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { goneSignal } from './gone-signal.js';
import { noticeStream, readPlace } from './notice-events.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import type { NoticePlace } from '../db/notices.js';

/** Streams of one process: each asks the ledger once a second. */
const MAX_STREAMS = 100;

/** `/v1/events` */
@Controller('v1/events')
export class NoticesController {
  private open = 0;
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /** What people of the tenant should hear of, as server-sent events. */
  @Get()
  async events(@Req() request: FastifyRequest, @Res() reply: FastifyReply): Promise<void> {
    const { ledger, watcher, heartbeatMs } = this.parts;
    const after = readLastEvent(request) ?? (await ledger.lastNoticePlace());
    if (this.open >= MAX_STREAMS) {
      throw new ProblemError('too-many-streams', 'this process has as many event streams as it can hold', {
        headers: { 'retry-after': '5' },
      });
    }
    void reply.headers({ 'content-type': 'text/event-stream; charset=utf-8', 'x-accel-buffering': 'no' });
    if (request.method === 'HEAD') return void reply.send();
    const signal = goneSignal(reply);
    this.open += 1;
    signal.addEventListener('abort', () => void (this.open -= 1), { once: true });
    const { tenantId } = request;
    void reply.send(Readable.from(noticeStream({ ledger, watcher, tenantId, after, heartbeatMs, signal })));
  }
}

function readLastEvent({ headers }: FastifyRequest): NoticePlace | undefined {
  const id = headers['last-event-id'];
  if (id === undefined || id === '') return undefined;
  const place = typeof id === 'string' ? readPlace(id) : undefined;
  if (place) return place;
  const detail = 'must be the id of an event of this stream';
  throw new ProblemError('invalid-request', `the header Last-Event-ID ${detail}`, {
    errors: [{ header: 'Last-Event-ID', detail }],
  });
}
