import { randomUUID } from 'node:crypto';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import { BrokerError } from './broker.js';
import type { Consumption, Subscription } from './broker.js';
import { closeChannel, reasonOf, within } from './rabbitmq-connection.js';
import type { RabbitConnection } from './rabbitmq-connection.js';
import { createHands, pause } from './rabbitmq-hands.js';
import { keepBodiesAsBytes } from './rabbitmq-message.js';

const PREFETCH = 64;
const RETRY_MS = { first: 100, most: 5_000 };
/** A queue without a leader does not answer, nor does it refuse. */
const BEGIN_MS = 15_000;
const FAREWELL_MS = 2_000;

/**
 * Consumes one queue until it is stopped: a lost channel is opened anew, but only once everything that was being handled has ended, so that
 * no message is handled twice at a time here, and none of an ordered queue overtakes.
 *
 * ```
 * open ──▶ consuming ── stop ──▶ finish what was begun ──▶ closed
 *   ▲          │ lost
 *   └─ back-off ┘
 * ```
 *
 * @throws TypeError when `prefetch` is none that RabbitMQ knows
 */
export function consume(connection: RabbitConnection, subscription: Subscription): Consumption {
  const { prefetch = PREFETCH } = subscription;
  if (!Number.isInteger(prefetch) || prefetch < 1 || prefetch > 65_535)
    throw new TypeError(`prefetch of queue '${subscription.from}' is ${prefetch}; write a number from 1 to 65535`);
  const stopping = new AbortController();
  const beginning = withResolvers();
  const run = keepConsuming({
    connection,
    subscription,
    prefetch,
    stopping: stopping.signal,
    stopped: whenAborted(stopping.signal),
    onReady: beginning.resolve,
  });
  return {
    ready: beginning.promise,
    stop: async () => {
      stopping.abort();
      await run;
      const text = `queue '${subscription.from}' is not consumed: that was stopped before it had begun`;
      beginning.reject(new BrokerError('unavailable', text));
    },
  };
}

interface Run {
  readonly connection: RabbitConnection;
  readonly subscription: Subscription;
  readonly prefetch: number;
  readonly stopping: AbortSignal;
  readonly stopped: Promise<undefined>;
  readonly onReady: () => void;
}

/** Never rejects. */
async function keepConsuming(run: Run): Promise<void> {
  const { subscription, stopping, connection } = run;
  let failures = 0;
  const onReady = (): void => {
    failures = 0;
    run.onReady();
  };
  while (!stopping.aborted) {
    try {
      await consumeOnce({ ...run, onReady });
    } catch (cause) {
      if (stopping.aborted) return;
      subscription.onTrouble(explain(subscription.from, cause as Error, connection.problem()));
      await pause(Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** failures++), stopping);
    }
  }
}

/** Consumes over one channel; resolves when it was told to stop, rejects when the channel is lost. */
async function consumeOnce(run: Run): Promise<void> {
  const { subscription, stopped } = run;
  const channel = await acquire(run.connection, stopped);
  if (channel === undefined) return;
  const lost = watch(channel);
  const ending = new AbortController();
  const patience = new AbortController();
  const hands = createHands({ channel, subscription, signal: ending.signal });
  const tag = `${subscription.group.slice(0, 50)}-${randomUUID()}`;
  try {
    const begun = begin(channel, run, { tag, take: hands.take });
    // stopped meanwhile: the channel's end is the end of it
    begun.catch(() => undefined);
    await Promise.race([begun, stopped, tooLate(patience.signal)]);
    patience.abort();
    await Promise.race([lost, stopped]);
    ending.abort();
    // an ordered queue would give the next messages to another consumer while the last ones are still handled here: it stays ours till the end
    if (subscription.ordered !== true) await within(FAREWELL_MS, channel.basicCancel(tag));
  } finally {
    patience.abort();
    ending.abort();
    await hands.finish();
    await closeChannel(channel);
  }
}

async function tooLate(signal: AbortSignal): Promise<void> {
  await pause(BEGIN_MS, signal);
  if (!signal.aborted) throw new Error(`the queue has not answered within ${BEGIN_MS} ms; it may have no leader`);
}

interface Taker {
  /** As the broker's operators see it. */
  readonly tag: string;
  readonly take: (delivery: AsyncMessage) => void;
}

async function begin(channel: Channel, { prefetch, subscription, onReady }: Run, { tag, take }: Taker): Promise<void> {
  keepBodiesAsBytes(channel);
  await channel.basicQos({ prefetchCount: prefetch });
  await channel.basicConsume({ queue: subscription.from, consumerTag: tag }, take);
  onReady();
}

/** Undefined when it was told to stop before there was one. */
async function acquire(connection: RabbitConnection, stopped: Promise<undefined>): Promise<Channel | undefined> {
  const opening = connection.acquire();
  const channel = await Promise.race([opening, stopped]);
  // it may still come; if it fails, it is gone anyway
  if (channel === undefined) void opening.then(closeChannel, () => undefined);
  return channel;
}

/** Rejects when the channel consumes no longer, with the reason where the broker gave one. */
function watch(channel: Channel): Promise<never> {
  let reason: Error | undefined;
  const lost = new Promise<never>((_, reject) => {
    channel.on('error', (error: Error) => (reason = error));
    channel.on('basic.cancel', () => reject(new Error('the queue was deleted, or its leader is gone')));
    channel.on('close', () => reject(reason ?? new Error('the channel was closed')));
  });
  // while it is opened and while it is ended nobody waits for this
  lost.catch(() => undefined);
  return lost;
}

function explain(queue: string, cause: Error & { readonly code?: string }, problem: Error | undefined): BrokerError {
  if (cause.code === 'NOT_FOUND')
    return new BrokerError('unroutable', `there is no queue '${queue}' to consume; declare it`, { cause });
  const why = reasonOf(problem ?? cause);
  return new BrokerError('unavailable', `queue '${queue}' is not consumed at the moment: ${why}; trying again`, {
    cause,
  });
}

function whenAborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => signal.addEventListener('abort', () => resolve(undefined), { once: true }));
}

/** A promise that nobody needs to wait for. */
function withResolvers(): { promise: Promise<void>; resolve: () => void; reject: (error: Error) => void } {
  let settle: { resolve: () => void; reject: (error: Error) => void };
  const promise = new Promise<void>((resolve, reject) => (settle = { resolve, reject }));
  promise.catch(() => undefined);
  return { promise, ...settle! };
}
