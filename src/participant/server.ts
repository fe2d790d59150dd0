import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { createPool } from '../db/pool.js';
import { startUpkeep } from '../db/upkeep.js';
import type { InboxWindow } from '../saga/windows.js';
import type { Wrap } from '../saga/wrap.js';
import { createHttpHandler } from './http.js';
import { createParticipantMetrics } from './metrics.js';
import { createParticipant, DEFAULT_INBOX, type ParticipantBuilder } from './participant.js';
import { keepInbox } from './retention.js';
import { startConsumers, type ServedConsumer } from './served-consumers.js';

/** What it takes to serve a participant over HTTP. */
export interface ServeOptions {
  readonly consumer: string;
  /** Where its inbox lives. @default the consumer's name */
  readonly schema?: string;
  /** The participant's own database, migrated. */
  readonly databaseUrl: string;
  readonly host: string;
  /** 0 takes a free one. */
  readonly port: number;
  /** Adds the handlers. */
  readonly register: (participant: ParticipantBuilder) => ParticipantBuilder;
  /** Database connections at the most. @default 20 */
  readonly maxConnections?: number;
  /** What the inbox remembers, and what its senders need. @default 30 days, for senders that need no more */
  readonly inbox?: InboxWindow;
  /** From where it takes messages beside HTTP. @default nowhere */
  readonly consumers?: readonly ServedConsumer[];
  readonly logger?: Pick<Logger, 'error' | 'warn' | 'info'>;
  readonly wrap?: Wrap;
}

/** A participant that listens. */
export interface ParticipantServer {
  /** Where it listens, e.g. `http://127.0.0.1:3001`. */
  readonly url: string;
  /** Takes nothing new, finishes what is under way (over HTTP for 10 s at the most), closes the database connections. */
  stop(): Promise<void>;
}

/** Longer than senders keep idle connections, or one of us closes while the other sends. */
const KEEP_ALIVE_MS = 75_000;
const DRAIN_MS = 10_000;

/**
 * Serves a participant over HTTP, and over brokers where it is told to. It starts without its database too: then it answers 503 until that is back.
 *
 * @throws WindowError when the inbox forgets what its senders may send again
 * @throws Error in one clear line when the port cannot be had
 * @throws TypeError when the URL of a broker is malformed
 */
export async function serveParticipant(options: ServeOptions): Promise<ParticipantServer> {
  const { consumer, schema = consumer, databaseUrl, host, port, inbox = DEFAULT_INBOX, logger, wrap } = options;
  const pool = createPool(databaseUrl, {
    max: options.maxConnections,
    name: `settle-${consumer}`,
    onIdleError: (err) =>
      logger?.warn({ err }, `'${consumer}' lost an idle database connection; it opens another when needed`),
  });
  const metrics = createParticipantMetrics(consumer);
  const builder = createParticipant({ consumer, schema, pool, inbox, onAnswer: metrics.count, wrap });
  const participant = options.register(builder).build();
  const checkReady = (): Promise<unknown> => pool.query('select 1');
  const server = createServer(
    { keepAliveTimeout: KEEP_ALIVE_MS, requestTimeout: 30_000 },
    createHttpHandler({ participant, metrics, checkReady, logger }),
  );
  try {
    await listen(server, host, port);
  } catch (cause) {
    await pool.end();
    throw new Error(`'${consumer}' cannot listen on ${host}:${port}: ${(cause as Error).message}`, { cause });
  }
  const consumers = await startConsumers(options.consumers ?? [], {
    ...{ participant, pool, schema, registry: metrics.registry, logger },
  }).catch(async (error: unknown) => {
    await drain(server);
    await pool.end();
    throw error;
  });
  const upkeep = startUpkeep({ round: () => keepInbox(pool, { schema, windowMs: inbox.windowMs }), logger });
  let stopping: Promise<void> | undefined;
  return {
    url: urlOf(server, host),
    stop: () => (stopping ??= Promise.all([drain(server), consumers.stop(), upkeep.stop()]).then(() => pool.end())),
  };
}

async function listen(server: Server, host: string, port: number): Promise<void> {
  server.listen(port, host);
  await once(server, 'listening');
}

function urlOf(server: Server, host: string): string {
  const { port } = server.address() as AddressInfo;
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

async function drain(server: Server): Promise<void> {
  const closed = once(server, 'close');
  server.close();
  // a connection that was busy turns idle after its answer and would stay open for its keep-alive
  const sweep = setInterval(() => server.closeIdleConnections(), 50);
  const deadline = new AbortController();
  try {
    await Promise.race([closed, delay(DRAIN_MS, undefined, { signal: deadline.signal })]);
    server.closeAllConnections();
    await closed;
  } finally {
    deadline.abort();
    clearInterval(sweep);
  }
}
