import type { FastifyReply } from 'fastify';

/** Aborted when the client goes before it has the whole answer, so that nothing waits on its behalf any longer. */
export function goneSignal({ raw }: FastifyReply): AbortSignal {
  const controller = new AbortController();
  // not the request's 'close': that comes as soon as its body is read
  raw.once('close', () => controller.abort());
  if (raw.destroyed) controller.abort();
  return controller.signal;
}
