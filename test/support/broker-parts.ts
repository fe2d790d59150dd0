import { randomUUID } from 'node:crypto';
import type { AsyncCompletionClient } from '@temporalio/client';
import { pino } from 'pino';
import type pg from 'pg';
import { createDispatch } from '../../activities/dispatch.js';
import type { Obtaining } from '../../activities/obtain.js';
import { startReplies, type Replies } from '../../activities/replies.js';
import { createReplyDesk } from '../../activities/reply-desk.js';
import type { SagaActivities } from '../../activities/saga-activities.js';
import { decodeCloudEvent, type CloudEvent } from '../../src/brokers/cloud-event.js';
import { encodeReply, type ReplyOutcome } from '../../src/brokers/reply.js';
import { listen } from '../../src/db/listen.js';
import { readReplySecret, REPLY_CHANNEL } from '../../src/db/replies.js';
import { contractsOf } from '../../src/saga/contracts.js';
import type { SagaDefinition } from '../../src/saga/define-saga.js';
import { createBrokers } from '../../src/transports/brokers.js';
import { createReplyAddress } from '../../src/transports/reply-address.js';
import { createRouter } from '../../src/transports/router.js';
import type { BrokerRoute, Routes } from '../../src/transports/transport.js';
import { definitions } from '../../workflows/definitions.js';
import type { MemoryClient, MemoryClientOptions, MemoryServer } from './memory-broker.js';
import { eventually } from './eventually.js';
import { openPool } from './pools.js';

/** The name of the installation that these parts belong to. */
export const INSTALLATION = 'test';
/** Where its answers come. */
export const REPLIES = `settle-replies-${INSTALLATION}`;

/** Routes of these types to the destination `inventory`. */
export function routesOver(types: readonly string[], change: Partial<BrokerRoute> = {}): Routes {
  return Object.fromEntries(types.map((type) => [type, { transport: 'rabbitmq', to: 'inventory', ...change }]));
}

/** The producing side of one worker, as far as brokers are concerned. */
export interface Sender extends Required<Obtaining> {
  readonly dispatch: SagaActivities['dispatch'];
  readonly client: MemoryClient;
  /** Takes no answers any more, as a killed process does; its pool goes on. */
  crash(): void;
  stop(): Promise<void>;
}

/** What is different about a sender. */
export interface SenderOptions {
  readonly routes: Routes;
  readonly client?: MemoryClientOptions;
  readonly completion?: Pick<AsyncCompletionClient, 'complete' | 'fail'>;
  readonly definitions?: readonly SagaDefinition[];
}

const nobody = { complete: () => Promise.resolve(), fail: () => Promise.resolve() };

/** Starts one over a migrated producer's database. */
export async function startSender(databaseUrl: string, server: MemoryServer, options: SenderOptions): Promise<Sender> {
  const { routes, completion = nobody as never, definitions: sagas = definitions as never } = options;
  const pool = openPool(databaseUrl, { name: 'sender' });
  const client = server.connect(options.client);
  const brokers = createBrokers({ rabbitmq: 'memory' }, () => Promise.resolve(client));
  const address = createReplyAddress(INSTALLATION, await readReplySecret(pool));
  const desk = createReplyDesk();
  let isListening = false;
  const router = createRouter(routes, { brokers, replies: address });
  const replies: Replies = await startReplies({
    ...{ pool, brokers, names: ['rabbitmq'], address, desk, completion, logger: pino({ level: 'silent' }) },
    contracts: contractsOf(sagas),
    listen: (taker) =>
      listen({
        ...{ url: databaseUrl, channel: REPLY_CHANNEL },
        onWake: () => {
          isListening = true;
          void taker.lookAround();
        },
        onNotice: (notice) => void taker.hear(notice),
      }),
  });
  await client.declare({ name: REPLIES });
  // what asks for time is told once and is not in the ledger: who does not listen yet would miss it
  await eventually(() => expect(isListening).toBe(true));
  const obtaining = { pool, router, desk, openActivities: replies.openActivities };
  return {
    ...obtaining,
    client,
    dispatch: createDispatch({ ...obtaining, definitions: sagas, localWorks: new Map() }),
    crash: () => client.crash(),
    stop: async () => {
      await replies.stop();
      await router.close();
      await pool.end();
    },
  };
}

/** A message as a participant saw it. */
export type SeenEvent = CloudEvent & { readonly key?: string };

/** A participant on the destination `inventory`. */
export interface BrokerParticipant {
  readonly seen: SeenEvent[];
  /** Answers once more, or at last. */
  reply(event: SeenEvent, outcome: ReplyOutcome, change?: { readonly token?: string }): Promise<void>;
  stop(): Promise<void>;
}

/** Starts one that answers as told; undefined is no answer. */
export async function startBrokerParticipant(
  server: MemoryServer,
  answer: (event: SeenEvent) => ReplyOutcome | undefined,
): Promise<BrokerParticipant> {
  const client = server.connect();
  const seen: SeenEvent[] = [];
  const reply: BrokerParticipant['reply'] = async ({ attributes }, outcome, change = {}) => {
    const message = encodeReply({
      ...{ id: randomUUID(), source: '/inventory', outcome },
      ...{ effectKey: attributes['effectkey']!, revision: Number(attributes['revision']) },
      ...{ token: attributes['replytoken']!, ...change },
    });
    await client.publish(message, { to: attributes['replyto']!, timeoutMs: 30_000 });
  };
  await client.declare({ name: 'inventory' });
  client.subscribe({
    ...{ from: 'inventory', group: 'inventory', onTrouble: () => undefined },
    handle: async (message) => {
      const parse = (body: Buffer): unknown => JSON.parse(body.toString()) as unknown;
      const event = { ...decodeCloudEvent(message, { prefix: client.attributePrefix, parse })!, key: message.key };
      seen.push(event);
      const outcome = answer(event);
      // nobody asks for the answer to what is fire-and-forget
      if (outcome && event.attributes['replyto']) await reply(event, outcome);
    },
  });
  return { seen, reply, stop: () => client.close() };
}

/** What answers have been counted as, with their numbers. */
export async function repliesCounted(pool: pg.Pool): Promise<Readonly<Record<string, number>>> {
  const { rows } = await pool.query<{ verdict: string; count: number }>(
    'select verdict, count from settle.reply_count',
  );
  return Object.fromEntries(rows.map(({ verdict, count }) => [verdict, count]));
}
