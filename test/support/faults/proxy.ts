import { once } from 'node:events';
import { createServer, connect, type AddressInfo, type Server, type Socket } from 'node:net';

/**
 * What happens to the traffic of an edge.
 * - `pass`: nothing.
 * - `reset`: connections are reset, open ones too.
 * - `black-hole`: bytes vanish in both directions; connections stay open.
 * - `one-way`: requests are delivered, answers are lost and the connection is then reset.
 * - `hold`: requests are kept back until `release`, also those whose sender has gone.
 * - `refuse`: each request is answered 409 by the proxy itself and delivered to nobody.
 */
export type ProxyFault =
  | { readonly kind: 'pass' | 'reset' | 'black-hole' | 'one-way' | 'hold' | 'refuse' }
  | { readonly kind: 'latency'; readonly ms: number }
  /** Cuts each connection after so many bytes of answers. */
  | { readonly kind: 'cut'; readonly bytes: number };

/** What a proxy has done so far: the proof that a fault fired. */
export interface ProxyCounters {
  connections: number;
  bytesUp: number;
  bytesDown: number;
  resets: number;
  swallowedBytes: number;
  lostAnswers: number;
  held: number;
  refused: number;
  delayed: number;
  cuts: number;
}

/** A TCP proxy on one edge. */
export interface Proxy {
  readonly port: number;
  readonly counters: Readonly<ProxyCounters>;
  /** Takes effect at once, also on open connections. */
  set(fault: ProxyFault): void;
  /** Delivers what was held. */
  release(): void;
  close(): Promise<void>;
}

interface Edge {
  readonly counters: ProxyCounters;
  readonly pairs: Set<Pair>;
  fault: ProxyFault;
}

interface Pair {
  readonly client: Socket;
  readonly server: Socket;
  readonly held: Buffer[];
  answered: number;
}

/** Listens on a free loopback port and forwards to `targetPort`. */
export async function startProxy(targetPort: number): Promise<Proxy> {
  const edge: Edge = { counters: noCounters(), pairs: new Set(), fault: { kind: 'pass' } };
  const server: Server = createServer({ allowHalfOpen: true }, (client) => {
    forward(edge, client, targetPort);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    counters: edge.counters,
    set: (fault) => {
      edge.fault = fault;
      if (fault.kind === 'reset') for (const pair of edge.pairs) reset(edge, pair);
    },
    release: () => {
      for (const pair of edge.pairs) release(pair);
    },
    close: async () => {
      server.close();
      for (const { client, server: upstream } of edge.pairs) {
        client.destroy();
        upstream.destroy();
      }
      await once(server, 'close');
    },
  };
}

function noCounters(): ProxyCounters {
  return {
    connections: 0,
    bytesUp: 0,
    bytesDown: 0,
    resets: 0,
    swallowedBytes: 0,
    lostAnswers: 0,
    held: 0,
    refused: 0,
    delayed: 0,
    cuts: 0,
  };
}

function forward(edge: Edge, client: Socket, targetPort: number): void {
  edge.counters.connections += 1;
  const pair: Pair = { client, server: connect(targetPort, '127.0.0.1'), held: [], answered: 0 };
  edge.pairs.add(pair);
  if (edge.fault.kind === 'reset') {
    reset(edge, pair);
    return;
  }
  client.on('data', (bytes) => {
    sendUp(edge, pair, bytes);
  });
  pair.server.on('data', (bytes) => {
    sendDown(edge, pair, bytes);
  });
  // a sender that has gone must not take back what is held
  client.on('close', () => {
    if (pair.held.length === 0) pair.server.end();
  });
  pair.server.on('close', () => {
    edge.pairs.delete(pair);
    client.destroy();
  });
  for (const socket of [client, pair.server]) socket.on('error', () => socket.destroy());
}

function sendUp(edge: Edge, pair: Pair, bytes: Buffer): void {
  const { fault, counters } = edge;
  switch (fault.kind) {
    case 'black-hole':
      counters.swallowedBytes += bytes.length;
      return;
    case 'hold':
      if (pair.held.length === 0) counters.held += 1;
      pair.held.push(bytes);
      return;
    case 'refuse':
      counters.refused += 1;
      pair.client.end(REFUSAL);
      return;
    case 'latency':
      counters.delayed += 1;
      setTimeout(() => pair.server.write(bytes), fault.ms);
      return;
    default:
      counters.bytesUp += bytes.length;
      pair.server.write(bytes);
  }
}

const PROBLEM = JSON.stringify({ code: 'refused-on-purpose', detail: 'the proxy refuses it' });
const REFUSAL = [
  'HTTP/1.1 409 Conflict',
  'content-type: application/problem+json',
  `content-length: ${PROBLEM.length}`,
  'connection: close',
  '',
  PROBLEM,
].join('\r\n');

function sendDown(edge: Edge, pair: Pair, bytes: Buffer): void {
  const { fault, counters } = edge;
  if (fault.kind === 'black-hole') {
    counters.swallowedBytes += bytes.length;
    return;
  }
  if (fault.kind === 'one-way') {
    counters.lostAnswers += 1;
    reset(edge, pair);
    return;
  }
  if (fault.kind === 'cut' && pair.answered + bytes.length > fault.bytes) {
    counters.cuts += 1;
    pair.client.write(bytes.subarray(0, Math.max(0, fault.bytes - pair.answered)), () => {
      reset(edge, pair);
    });
    return;
  }
  pair.answered += bytes.length;
  counters.bytesDown += bytes.length;
  // an answer to a request that was held until its sender had gone
  if (pair.client.destroyed) pair.server.end();
  else pair.client.write(bytes);
}

function release({ held, server }: Pair): void {
  for (const bytes of held.splice(0)) server.write(bytes);
}

function reset(edge: Edge, { client, server }: Pair): void {
  edge.counters.resets += 1;
  client.resetAndDestroy();
  server.destroy();
}
