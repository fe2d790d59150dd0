import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { buffer } from 'node:stream/consumers';

/** The way to a participant, which can be shut: then it refuses whatever comes. */
export interface Gate {
  readonly url: string;
  /** Whether it refuses. */
  isShut: boolean;
  stop(): Promise<void>;
}

/**
 * Puts a gate in front of one message type of a participant, for showing what becomes of an undo that is refused.
 *
 * @param target where the messages go while it is open
 */
export async function startGate(target: string): Promise<Gate> {
  const server = createServer((request, response) => {
    const answer = async (): Promise<void> => {
      const body = await buffer(request);
      const problem = JSON.stringify({ code: 'warehouse-closed', detail: 'the warehouse takes nothing back at night' });
      const { status, text } = gate.isShut
        ? { status: 409, text: problem }
        : await forward(target, request.headers as Record<string, string>, body);
      response.writeHead(status, { 'content-type': 'application/json' }).end(text);
    };
    // the participant is away: so is the gate
    answer().catch(() => response.destroy());
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const gate: Gate = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    isShut: false,
    stop: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
  return gate;
}

async function forward(
  target: string,
  headers: Readonly<Record<string, string>>,
  body: Buffer,
): Promise<{ status: number; text: string }> {
  // those of the connection are made anew
  const kept = Object.entries(headers).filter(
    ([name]) => !/^(host|connection|content-length|transfer-encoding)$/.test(name),
  );
  const response = await fetch(target, {
    method: 'POST',
    headers: Object.fromEntries(kept),
    body: new Uint8Array(body),
  });
  return { status: response.status, text: await response.text() };
}
