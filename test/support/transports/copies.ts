import { createPool } from '../../../src/db/pool.js';
import { readReplySecret } from '../../../src/db/replies.js';
import type { BrokerUrls } from '../../../src/brokers/open-broker.js';
import type { Envelope } from '../../../src/saga/envelope.js';
import type { Outcome } from '../../../src/saga/outcome.js';
import { createBrokers } from '../../../src/transports/brokers.js';
import { createReplyAddress, type ReplyAddress } from '../../../src/transports/reply-address.js';
import { createRouter } from '../../../src/transports/router.js';
import type { Routes } from '../../../src/transports/transport.js';
import type { Random } from '../faults/random.js';

/** Sends what the system under test has sent, once more and in whatever order. */
export interface Copier {
  /** The addresses and tokens of the installation. */
  readonly address: ReplyAddress;
  /** Sends one message. */
  send(envelope: Envelope): Promise<Outcome>;
  /** The messages of these sagas that have been sent at least once, as they were sent. */
  sent(sagaIds: readonly string[]): Promise<readonly Envelope[]>;
  close(): Promise<void>;
}

export interface CopierOptions {
  readonly databaseUrl: string;
  readonly routes: Routes;
  readonly brokers: BrokerUrls;
  readonly taskQueue: string;
}

/** Opens the routes of a run from outside of it, with the secret of its installation. */
export async function openCopier({ databaseUrl, routes, brokers, taskQueue }: CopierOptions): Promise<Copier> {
  const pool = createPool(databaseUrl, { name: 'copier', max: 2 });
  const address = createReplyAddress(taskQueue, await readReplySecret(pool));
  const router = createRouter(routes, { brokers: createBrokers(brokers), replies: address });
  return {
    address,
    send: (envelope) => router.send(envelope, COPY_MS),
    sent: async (sagaIds) => {
      // what has not been sent yet must not overtake what it waits for: that would be no copy
      const { rows } = await pool.query<SentRow>(
        `select m.message_id::text as "messageId", m.type, m.created_at as "createdAt", m.saga_id as "sagaId", m.tenant_id as "tenantId",
                m.effect_key as "effectKey", m.revision, m.payload, s.type as saga
           from settle.message_log m join settle.saga s on s.id = m.saga_id
          where m.saga_id = any ($1) and m.first_sent_at is not null`,
        [sagaIds],
      );
      return rows.map(({ saga, createdAt, ...row }) => ({
        ...row,
        source: `/settle/${saga}`,
        time: createdAt.toISOString(),
        orderKey: row.sagaId,
      }));
    },
    close: async () => {
      await Promise.all([router.close(), pool.end()]);
    },
  };
}

const COPY_MS = 30_000;

interface SentRow extends Omit<Envelope, 'source' | 'time'> {
  readonly saga: string;
  readonly createdAt: Date;
}

/** Each of them so many times, in an order that is the same for the same seed. */
export function shuffled<T>(items: readonly T[], times: number, random: Random): T[] {
  const all = items.flatMap((item) => Array.from({ length: times }, () => item));
  for (let last = all.length - 1; last > 0; last -= 1) {
    const other = random.between(0, last + 1);
    [all[last], all[other]] = [all[other]!, all[last]!];
  }
  return all;
}
