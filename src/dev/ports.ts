import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that something of ours is going to listen on. */
export interface PortClaim {
  readonly host: string;
  readonly port: number;
  /** What for, e.g. `the API`. */
  readonly use: string;
  /** The variable that moves it elsewhere. */
  readonly setting: string;
}

/** Below the range from which systems take ports for outgoing connections: those would be gone again before we listen. */
const FIRST = 15_000;
const LAST = 32_000;

/**
 * Makes sure that every port is free, before anything is started.
 *
 * @throws Error, one line, that names each port in use, what it is for and the variable that moves it
 */
export async function checkPorts(claims: readonly PortClaim[]): Promise<void> {
  const problems: string[] = [];
  for (const claim of claims) {
    const code = await tryListen(claim.host, claim.port);
    if (code === undefined) continue;
    const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be had (${code})`;
    problems.push(`port ${claim.port} on ${claim.host}, for ${claim.use}, ${why}; set ${claim.setting} to another`);
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
}

/**
 * Finds neighbouring ports of 127.0.0.1 that are free at this moment; another process may still be quicker.
 *
 * @returns the first of `count`
 */
export async function findFreePorts(count = 1): Promise<number> {
  for (;;) {
    const first = FIRST + Math.floor(Math.random() * (LAST - FIRST - count));
    const ports = Array.from({ length: count }, (_, index) => first + index);
    const codes = await Promise.all(ports.map((port) => tryListen('127.0.0.1', port)));
    if (codes.every((code) => code === undefined)) return first;
  }
}

/** Undefined where it can be listened on, else why not. */
async function tryListen(host: string, port: number): Promise<string | undefined> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    return undefined;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code ?? (cause as Error).message;
  } finally {
    await new Promise((resolve) => void server.close(resolve));
  }
}
