import type { Server } from 'node:http';
import type { Socket } from 'node:net';

/** Answers that take longer than this to leave are cut off. */
const LONGEST_MS = 10_000;

/** A connection that has sent no request for this long while stopping will not be missed. */
const SILENCE_MS = 500;

/**
 * Prepares for letting a server's connections go.
 *
 * @returns runs `close`, which must stop the server from accepting, and sees to it that no connection keeps it from ending
 */
export function prepareStop(server: Server): (close: () => Promise<void>) => Promise<{ wereCutOff: boolean }> {
  // Node counts a connection as idle after its first request only; clients open some ahead of need
  const silent = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    silent.add(socket);
    socket.once('close', () => silent.delete(socket));
  });
  server.on('request', ({ socket }) => silent.delete(socket));

  return async (close) => {
    let wereCutOff = false;
    // a connection that was busy when the server closed is idle later, and would be kept open for a next request
    const idle = setInterval(() => server.closeIdleConnections(), 50);
    const silence = setTimeout(() => silent.forEach((socket) => socket.destroy()), SILENCE_MS);
    const last = setTimeout(() => {
      wereCutOff = true;
      server.closeAllConnections();
    }, LONGEST_MS);
    try {
      await close();
    } finally {
      clearInterval(idle);
      clearTimeout(silence);
      clearTimeout(last);
    }
    return { wereCutOff };
  };
}
