import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { Broker, BrokerName } from '../brokers/broker.js';
import { openBroker } from '../brokers/open-broker.js';
import { createPool } from '../db/pool.js';
import { startUpkeep } from '../db/upkeep.js';
import type { InboxWindow } from '../saga/windows.js';
import { createAttemptCounter } from './attempts.js';
import { checkSettings, consumeWith, type ConsumeSettings, type RunningConsumer } from './consume-with.js';
import { createConsumerMetrics } from './consumer-metrics.js';
import { createParticipantMetrics } from './metrics.js';
import { createParticipant, DEFAULT_INBOX, type ParticipantBuilder } from './participant.js';
import { keepInbox } from './retention.js';

/** Where a participant keeps its inbox: a database of its own, migrated. */
export type ConsumerInbox = {
  /** The participant's name in the inbox; never renamed, or everything could be applied again. */
  readonly consumer: string;
  /** Where the table lives. @default the consumer's name */
  readonly schema?: string;
  /** What it remembers, and what its senders need. @default 30 days, for senders that need no more */
  readonly window?: InboxWindow;
} & (
  | { readonly databaseUrl: string; /** @default the concurrency and 4 */ readonly maxConnections?: number }
  /** Stays the caller's to end. */
  | { readonly pool: pg.Pool }
);

/** A broker to open, which is closed with the consumer; or one that stays the caller's. */
export type ConsumerTransport = Broker | { readonly name: BrokerName; readonly url: string };

export interface ConsumeOptions extends ConsumeSettings {
  readonly transport: ConsumerTransport;
  readonly inbox: ConsumerInbox;
  /** Adds the handlers. */
  readonly handlers: (participant: ParticipantBuilder) => ParticipantBuilder;
}

/** A consumer with metrics of its own. */
export interface Consumer extends RunningConsumer {
  /** For whoever serves `/metrics`. */
  readonly registry: Registry;
}

const DEFAULT_CONCURRENCY = 16;
/** Beside the handlers: counting attempts, keeping the inbox. */
const SPARE_CONNECTIONS = 4;

/**
 * Consumes messages from a broker, each applied at most once: the inbox's transaction, then the reply, then the acknowledgement.
 *
 * @throws TypeError when handlers or settings are wrong
 * @throws WindowError when the inbox forgets what its senders may send again
 * @example
 * const consumer = consume({
 *   transport: { name: 'rabbitmq', url: 'amqp://127.0.0.1:5672' },
 *   from: 'inventory',
 *   inbox: { consumer: 'inventory', databaseUrl },
 *   handlers: (participant) => participant.handle(inventory.deduct, deduct).handle(inventory.release, release),
 * });
 * await consumer.ready;
 */
export function consume(options: ConsumeOptions): Consumer {
  const { transport, inbox, handlers, logger, concurrency = DEFAULT_CONCURRENCY } = options;
  const { consumer, schema = consumer, window = DEFAULT_INBOX } = inbox;
  checkSettings(options);
  const metrics = createParticipantMetrics(consumer);
  const pool = poolOf(inbox, concurrency, logger);
  const participant = handlers(
    createParticipant({ consumer, pool, schema, inbox: window, onAnswer: metrics.count }),
  ).build();
  const opened = 'subscribe' in transport ? Promise.resolve(transport) : openBroker(transport.name, transport.url);
  const running = opened.then((broker) =>
    consumeWith({
      ...{ ...options, broker, participant },
      attempts: createAttemptCounter(pool, { consumer, schema }),
      metrics: createConsumerMetrics(metrics.registry),
    }),
  );
  running.catch((err: unknown) => logger?.error({ err }, `'${consumer}' does not consume`));
  const ready = running.then((each) => each.ready);
  ready.catch(() => undefined);
  const upkeep = startUpkeep({ round: () => keepInbox(pool, { schema, windowMs: window.windowMs }), logger });
  const stop = async (): Promise<void> => {
    // what could not be opened, as `ready` has told, needs no closing
    await running.then(
      (each) => each.stop(),
      () => undefined,
    );
    const close = (broker: Broker): Promise<void> | undefined =>
      'subscribe' in transport ? undefined : broker.close();
    await Promise.all([upkeep.stop(), opened.then(close, () => undefined)]);
    if (!('pool' in inbox)) await pool.end();
  };
  let stopped: Promise<void> | undefined;
  return { registry: metrics.registry, ready, stop: () => (stopped ??= stop()) };
}

function poolOf(inbox: ConsumerInbox, concurrency: number, logger: ConsumeOptions['logger']): pg.Pool {
  if ('pool' in inbox) return inbox.pool;
  const { consumer, databaseUrl, maxConnections = concurrency + SPARE_CONNECTIONS } = inbox;
  return createPool(databaseUrl, {
    max: maxConnections,
    name: `settle-${consumer}`,
    onIdleError: (err) =>
      logger?.warn({ err }, `'${consumer}' lost an idle database connection; it opens another when needed`),
  });
}
