import { pino } from 'pino';
import { startRelay } from '../../activities/relay.js';
import { startReplies } from '../../activities/replies.js';
import { createReplyDesk } from '../../activities/reply-desk.js';
import { listen } from '../../src/db/listen.js';
import { OUTBOX_CHANNEL } from '../../src/db/outbox.js';
import { createPool } from '../../src/db/pool.js';
import { readReplySecret, REPLY_CHANNEL } from '../../src/db/replies.js';
import type { BrokerUrls } from '../../src/brokers/open-broker.js';
import { brokersOf } from '../../src/config-routes.js';
import { createBrokers } from '../../src/transports/brokers.js';
import { createReplyAddress } from '../../src/transports/reply-address.js';
import { createRouter } from '../../src/transports/router.js';
import type { Routes } from '../../src/transports/transport.js';

/** The name of the installation. */
export const INSTALLATION = 'bench';

/** Settle's own side, as a worker wires it, but for Temporal, which the outbox needs only when something is wrong. */
export interface Near {
  stop(): Promise<void>;
}

export interface NearOptions {
  readonly databaseUrl: string;
  readonly routes: Routes;
  readonly brokers: BrokerUrls;
}

const nobody = { complete: () => Promise.resolve(), fail: () => Promise.resolve() };

/** Starts the relay and whatever takes participants' answers. */
export async function startNear({ databaseUrl: url, routes, brokers: urls }: NearOptions): Promise<Near> {
  const logger = pino({ level: 'warn' }, pino.destination(2));
  const pool = createPool(url, { name: 'bench' });
  const byKey = createPool(url, { name: 'bench-steps', plansOnce: true });
  const brokers = createBrokers(urls);
  const address = createReplyAddress(INSTALLATION, await readReplySecret(pool));
  const desk = createReplyDesk();
  const router = createRouter(routes, { brokers, replies: address });
  const replies = await startReplies({
    ...{ pool, brokers, names: [...brokersOf(routes).keys()], address, desk, logger, completion: nobody as never },
    contracts: new Map(),
    listen: (taker) =>
      listen({
        ...{ url, channel: REPLY_CHANNEL },
        onWake: () => void taker.lookAround(),
        onNotice: (notice) => void taker.hear(notice),
      }),
  });
  const relay = startRelay({
    ...{ pool: byKey, router, desk, routes, logger },
    listen: (onWake) => listen({ url, channel: OUTBOX_CHANNEL, onWake }),
  });
  return {
    stop: async () => {
      await relay.stop();
      await replies.stop();
      await router.close();
      await Promise.all([pool.end(), byKey.end()]);
    },
  };
}
