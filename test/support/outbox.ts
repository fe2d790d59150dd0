import { pino } from 'pino';
import type pg from 'pg';
import { startRelay, type Relay, type RelayOptions } from '../../activities/relay.js';
import { listen } from '../../src/db/listen.js';
import { OUTBOX_CHANNEL } from '../../src/db/outbox.js';
import { findOutboxMessage, type OutboxMessageRecord } from '../../src/db/outbox-queries.js';
import { createRouter, type Router } from '../../src/transports/router.js';
import type { Envelope } from '../../src/saga/envelope.js';
import type { Outcome } from '../../src/saga/outcome.js';
import type { Route } from '../../src/transports/transport.js';
import { openPool } from './pools.js';

/** What is different about a message. */
export interface Sent {
  readonly type?: string;
  readonly payload?: unknown;
  readonly tenant?: string;
  readonly orderKey?: string;
  readonly delay?: string;
}

/** A relay over a real ledger, and what a test may look at. */
export interface Outbox {
  readonly pool: pg.Pool;
  /** Sends in a transaction of its own, or in the one that is given. */
  send(sent?: Sent, tx?: Pick<pg.PoolClient, 'query'>): Promise<string>;
  find(messageId: string): Promise<OutboxMessageRecord>;
  /** Starts a relay; all that were started are stopped in the end. */
  relay(options?: Partial<RelayOptions>): Relay;
  stop(): Promise<void>;
}

/** Routes to a participant at `url`: `ordered.*` keep the order of their keys. */
export function routesTo(url: string, types: readonly string[]): Record<string, Route> {
  return Object.fromEntries(
    types.map((type) => [
      type,
      { transport: 'http' as const, url: `${url}/messages/${type}`, ordered: type.startsWith('ordered.') },
    ]),
  );
}

/** A participant that answers as told, without a network. */
export function answering(answer: (envelope: Envelope) => Outcome | Promise<Outcome>): Router {
  return {
    admit: () => ({ leave: () => undefined }),
    room: () => Infinity,
    send: async (envelope) => answer(envelope),
    close: () => Promise.resolve(),
  };
}

/** Opens the outbox of a migrated database. */
export function openOutbox(databaseUrl: string, routes: Record<string, Route>): Outbox {
  const pool = openPool(databaseUrl, { name: 'outbox', plansOnce: true });
  const router = createRouter(routes);
  const relays: Relay[] = [];
  return {
    pool,
    send: async ({ type = 'notes.write', payload = { amount: 5 }, tenant, orderKey, delay } = {}, tx = pool) => {
      const { rows } = await tx.query<{ id: string }>(
        `select settle.send($1, $2, tenant => $3, order_key => $4, delay => $5) as id`,
        [type, JSON.stringify(payload), tenant ?? 'default', orderKey ?? null, delay ?? '0'],
      );
      return rows[0]!.id;
    },
    find: async (messageId) => (await findOutboxMessage(pool, { tenantId: 'default', messageId }))!,
    relay: (options = {}) => {
      const relay = startRelay({
        ...{ pool, router, routes, logger: pino({ level: 'silent' }), pollMs: 200 },
        listen: (onWake) => listen({ url: databaseUrl, channel: OUTBOX_CHANNEL, onWake }),
        ...options,
      });
      relays.push(relay);
      return relay;
    },
    stop: async () => {
      await Promise.all(relays.map((relay) => relay.stop()));
      await router.close();
      await pool.end();
    },
  };
}
