import type { Socket } from 'node:net';
import type { FastifyInstance } from 'fastify';
import { backlogFull, laneFull, lineFull } from './backlog.js';
import { OPERATIONS } from './operations.js';
import { sendProblem } from './problem.filter.js';

/** More than a burst that a process can serve in time: what comes on top would be answered after its client has gone. */
const MOST = 512;

/** The requests that may begin a saga. */
const BEGINNINGS: ReadonlySet<string> = new Set(
  OPERATIONS.filter(({ problems }) => problems.includes('backlog-full')).map(({ path }) => path),
);

/** While the door is shut one request in this time, in ms, is looked at all the same: it may repeat one that was accepted. */
const LOOK_EVERY_MS = 20;

/** Why what comes over an address finds no place: too many stand in line, or its lane is full. */
export type Shut = 'line' | 'lane';

export interface DoorOptions {
  readonly shutBy: (path: string) => Shut | undefined;
  readonly onRefused: () => void;
}

/** Made once: an error for each would cost more than all else that refusing takes. */
const REFUSALS = {
  line: lineFull('more sagas wait than are started'),
  lane: laneFull(),
  crowd: backlogFull(`${MOST} requests are under way in this process`, 1),
} as const;

/**
 * Refuses requests for new sagas before their bodies are read, as a process that does nothing but read bodies settles nothing: all but
 * a few while `shutBy` says so of their address, and what comes on top of those that are under way in this process. Of the latter the
 * ones are not counted whose client waits for the result.
 */
export function keepDoor(server: FastifyInstance, { shutBy, onRefused }: DoorOptions): void {
  const places = new WeakMap<Socket, Set<() => void>>();
  let count = 0;
  let lookAt = 0;
  const stopAt = (path: string): Shut | undefined => {
    const state = shutBy(path);
    const now = performance.now();
    if (!state || now < lookAt) return state;
    lookAt = now + LOOK_EVERY_MS;
    return undefined;
  };
  server.addHook('onRequest', (request, reply, done) => {
    const { method, routeOptions, headers } = request;
    const path = routeOptions.url ?? '';
    if (method !== 'POST' || !BEGINNINGS.has(path)) return done();
    const isCounted = headers['prefer'] === undefined;
    const state = stopAt(path) ?? (isCounted && count >= MOST ? 'crowd' : undefined);
    if (state) {
      onRefused();
      return sendProblem(reply, REFUSALS[state]);
    }
    if (!isCounted) return done();
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
