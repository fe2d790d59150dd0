import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import type { Consumption, Subscription } from './broker.js';
import { createAcknowledgements } from './redis-acknowledgements.js';
import type { RedisConnection } from './redis-connection.js';
import { createDeliveries, type Deliveries } from './redis-deliveries.js';
import { createGroupConsumer, type GroupConsumer } from './redis-group.js';
import { createLease } from './redis-lease.js';
import { startRounds } from './redis-rounds.js';

/** How long consumers wait for each other. */
export interface ConsumerTimes {
  /** Of a consumer that has said nothing for so long, others take over what it was given; in ms. @default 10000 */
  readonly idleMs?: number;
  /** How long the one consumer of an ordered stream stays that without a sign of life, in ms. @default 10000 */
  readonly leaseMs?: number;
}

export interface ConsumptionOptions {
  readonly subscription: Subscription;
  /** For this subscription alone: it waits for entries on it. */
  readonly reader: RedisConnection;
  readonly control: RedisConnection;
  readonly times: ConsumerTimes;
}

const DEFAULT_PREFETCH = 64;
/** How long a stop waits for Redis to take the last acknowledgements. */
const LAST_WORDS_MS = 3_000;

/** Consumes a stream until it is stopped; whatever goes wrong in between, it goes on. */
export function consumeStream({ subscription, reader, control, times }: ConsumptionOptions): Consumption {
  const {
    from: stream,
    group,
    prefetch = DEFAULT_PREFETCH,
    ordered: isOrdered = false,
    handle,
    onTrouble,
  } = subscription;
  const { idleMs = 10_000, leaseMs = 10_000 } = times;
  // unique, so that what a killed process was given is never taken for its successor's
  const name = `${hostname()}-${process.pid}-${randomUUID().slice(0, 8)}`;
  const consumer = createGroupConsumer({ stream, group, consumer: name, reader, control });
  const acknowledgements = createAcknowledgements(consumer.acknowledge, onTrouble);
  const lease = createLease({ leaseMs, acquire: consumer.takeLease, extend: consumer.extendLease, onTrouble });
  const deliveries = createDeliveries({
    ...{ prefetch, isOrdered, handle, acknowledge: acknowledgements.add, mayBegin: lease.isHeld },
    giveBack: async (entryId) => {
      await consumer.giveBack([entryId], true).catch(onTrouble);
    },
  });
  const stopping = new AbortController();
  const signal = stopping.signal;
  const rounds = startRounds({
    ...{ consumer, deliveries, idleMs, onTrouble, stopping: signal },
    lease: isOrdered ? lease : undefined,
  });
  // under a lease nobody takes over what is held
  const keeper = isOrdered ? undefined : keepAlive({ consumer, deliveries, idleMs, onTrouble });

  const end = async (): Promise<void> => {
    stopping.abort();
    acknowledgements.limit(LAST_WORDS_MS);
    const unbegun = deliveries.halt();
    const tell = async (work: () => Promise<unknown>): Promise<void> => {
      // without a connection there is no use in waiting for one: others find everything by themselves, a little later
      if (control.isReady()) await work().catch(onTrouble);
    };
    await tell(consumer.wake);
    if (!reader.isReady()) await reader.close();
    await rounds.ended;
    if (unbegun.length > 0) await tell(() => consumer.giveBack(unbegun, false));
    await deliveries.untilEmpty();
    clearInterval(keeper);
    // before the lease goes: its next holder begins with what is pending
    await tell(consumer.leave);
    await tell(lease.release);
    await reader.close();
  };
  let stopped: Promise<void> | undefined;
  return { ready: rounds.ready, stop: () => (stopped ??= end()) };
}

/** Says again and again that what is held is being handled: slow is not dead. */
function keepAlive(options: {
  readonly consumer: GroupConsumer;
  readonly deliveries: Deliveries;
  readonly idleMs: number;
  readonly onTrouble: (error: Error) => void;
}): NodeJS.Timeout {
  const { consumer, deliveries, idleMs, onTrouble } = options;
  return setInterval(() => {
    const held = deliveries.held();
    if (held.length > 0) consumer.keep(held).catch(onTrouble);
  }, idleMs / 4);
}
