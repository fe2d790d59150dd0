import type { FastifyInstance, FastifyRequest } from 'fastify';
import { OPERATIONS } from './operations.js';
import { ProblemError } from './problems.js';

/** More than a burst that a process can serve in time: what comes on top would be answered after its client has gone. */
const MOST = 512;

/** The requests that may begin a saga. */
const BEGINNINGS: ReadonlySet<string> = new Set(
  OPERATIONS.filter(({ problems }) => problems.includes('backlog-full')).map(({ path }) => path),
);

/**
 * Bounds how many requests for new sagas are under way in this process: what comes on top is refused before its body is read, as a
 * process that does nothing but read bodies settles nothing. Those whose client waits for the result are not counted.
 */
export function boundInFlight(server: FastifyInstance): void {
  const inside = new WeakSet<FastifyRequest>();
  let count = 0;
  const leave = (request: FastifyRequest): void => {
    if (inside.delete(request)) count -= 1;
  };
  server.addHook('onRequest', (request, _reply, done) => {
    const { method, routeOptions, headers } = request;
    if (method !== 'POST' || !BEGINNINGS.has(routeOptions.url ?? '') || headers['prefer'] !== undefined) return done();
    if (count >= MOST) {
      const detail = `${MOST} requests are under way in this process`;
      return done(new ProblemError('backlog-full', detail, { headers: { 'retry-after': '1' } }));
    }
    count += 1;
    inside.add(request);
    done();
  });
  server.addHook('onResponse', (request, _reply, done) => {
    leave(request);
    done();
  });
  server.addHook('onRequestAbort', (request, done) => {
    leave(request);
    done();
  });
}
