import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
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
  const places = new WeakMap<Socket, Set<() => void>>();
  let count = 0;
  server.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions, headers } = request;
    if (method !== 'POST' || !BEGINNINGS.has(routeOptions.url ?? '') || headers['prefer'] !== undefined) return done();
    if (count >= MOST) {
      const detail = `${MOST} requests are under way in this process`;
      return done(new ProblemError('backlog-full', detail, { headers: { 'retry-after': '1' } }));
    }
    count += 1;
    const held = placesOn(places, request.raw.socket);
    const leave = (): void => {
      if (held.delete(leave)) count -= 1;
    };
    held.add(leave);
    // 'close', as of a client that has gone neither 'finish' nor an abort tells once its body was read
    reply.raw.once('close', leave);
    done();
  });
}

/** What a connection holds; all of it is given back when it ends, as of pipelined requests only the first one is told. */
function placesOn(places: WeakMap<Socket, Set<() => void>>, socket: Socket): Set<() => void> {
  const known = places.get(socket);
  if (known) return known;
  const held = new Set<() => void>();
  places.set(socket, held);
  socket.once('close', () => {
    for (const leave of held) leave();
  });
  return held;
}
