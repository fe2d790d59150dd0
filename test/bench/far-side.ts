import { randomUUID } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import type pg from 'pg';
import type { BrokerName } from '../../src/brokers/broker.js';
import { encodeReply } from '../../src/brokers/reply.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import type { Participant } from '../../src/participant/index.js';
import { serveParticipant } from '../../src/participant/index.js';
import type { Wrap } from '../../src/saga/wrap.js';
import { CONCURRENCY } from './clients/client.js';
import { openClient } from './clients/open-client.js';
import { note } from './far-notes.js';

/**
 * The far side of a transport as a process of its own: a participant made with the kit, and beside it the yardstick's consumers, each
 * at rest while the other is measured. It talks to its parent as {@link FarRequest} and {@link FarAnswer} say.
 */
export interface FarSideOptions {
  readonly databaseUrl: string;
  /** Unset: HTTP. */
  readonly broker?: { readonly name: BrokerName; readonly url: string };
  readonly places: Places;
}

/** Where messages go: to the participant, to the yardstick that only acknowledges, to the one that writes and answers, and the answers. */
export interface Places {
  readonly notes: string;
  readonly oneWay: string;
  readonly asked: string;
  readonly answers: string;
}

/** `until`: answer once the one-way yardstick has had so many; `times`: what was applied since the last time of asking. */
export type FarRequest = { readonly until: number } | { readonly times: true };

export type FarAnswer =
  | { readonly ready: string }
  | { readonly reached: number }
  /** Effect key → when its transaction had committed, ms since the epoch. */
  | { readonly times: Readonly<Record<string, number>> };

/** Of the participant, and of the yardstick: neither is to be starved of connections by itself. */
const CONNECTIONS = 20;

const options = JSON.parse(process.argv[2]!) as FarSideOptions;
const pool = createPool(options.databaseUrl, { max: CONNECTIONS, name: 'bench-bare' });
const tell = (answer: FarAnswer): void => void process.send!(answer);
let times: Record<string, number> = {};
let received = 0;
let awaited = Infinity;

const noteTimes: Wrap = (name, port) => {
  if (name !== 'participant') return port;
  const participant = port as unknown as Participant;
  return {
    ...port,
    deliver: async (message: Parameters<Participant['deliver']>[0]) => {
      const answer = await participant.deliver(message);
      times[message.effectKey] = performance.timeOrigin + performance.now();
      return answer;
    },
  };
};

function receive(): void {
  received += 1;
  if (received < awaited) return;
  awaited = Infinity;
  tell({ reached: received });
}

/** What the yardstick does for each message: one row, one commit, an answer as large as Settle's. */
async function writeAndAnswer(body: Buffer): Promise<{ readonly id: string; readonly answer: Buffer }> {
  const { effectkey: effectKey, data } = JSON.parse(body.toString()) as { effectkey: string; data: { batch: string } };
  await withTransaction(pool, (tx: pg.PoolClient) =>
    tx.query({
      name: 'bare-note',
      text: 'insert into bench.bare (effect_key, batch) values ($1, $2)',
      values: [effectKey, data.batch],
    }),
  );
  const { id, body: answer } = encodeReply({
    ...{ id: randomUUID(), source: '/bench', effectKey, revision: 0, token: 'x'.repeat(43) },
    outcome: { kind: 'done', result: { noted: 1 } },
  });
  return { id, answer };
}

async function consumeBare({ name, url }: NonNullable<FarSideOptions['broker']>): Promise<void> {
  const client = await openClient(name, url);
  const { oneWay, asked, answers } = options.places;
  await client.consume(oneWay, () => Promise.resolve(receive()));
  await client.consume(asked, async (body) => {
    const { id, answer } = await writeAndAnswer(body);
    await client.send(answers, id, answer);
  });
}

async function serveBare(): Promise<Server> {
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on('data', (part: Buffer) => parts.push(part));
    request.on('end', () => {
      if (request.url === `/${options.places.oneWay}`) {
        receive();
        response.end('{}');
      } else void writeAndAnswer(Buffer.concat(parts)).then(({ answer }) => response.end(answer));
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

process.on('message', (request: FarRequest) => {
  if ('until' in request) {
    awaited = request.until;
    received -= 1;
    receive();
  } else {
    tell({ times });
    times = {};
  }
});
process.on('disconnect', () => process.exit(0));

const { url } = await serveParticipant({
  ...{ consumer: 'bench', databaseUrl: options.databaseUrl, host: '127.0.0.1', port: 0, maxConnections: CONNECTIONS },
  register: (participant) =>
    participant.handle(note, async (tx, { batch }, { effectKey }) => {
      await tx.query({
        name: 'note',
        text: 'insert into bench.note (effect_key, batch) values ($1, $2)',
        values: [effectKey, batch],
      });
      return { noted: 1 };
    }),
  consumers: options.broker && [{ transport: options.broker, from: options.places.notes, concurrency: CONCURRENCY }],
  wrap: noteTimes,
});
if (options.broker) {
  await consumeBare(options.broker);
  tell({ ready: url });
} else tell({ ready: `${url} http://127.0.0.1:${((await serveBare()).address() as AddressInfo).port}` });
