import type { Broker } from './broker.js';
import { BrokerError } from './broker.js';
import { createRocketMqClient } from './rocketmq-client.js';
import { consume } from './rocketmq-consumer.js';
import { MAX_BYTES, createPublisher, notSent } from './rocketmq-publisher.js';
import { createTopics } from './rocketmq-topics.js';
import { openHalfMessages } from './rocketmq-transactions.js';
import type { HalfMessages, HalfMessagesOptions } from './rocketmq-transactions.js';

/** How to reach it. */
export interface BrokerOptions {
  /** `host:port` of a proxy (gRPC). */
  readonly url: string;
}

/** A RocketMQ, which also keeps half messages (半消息). */
export interface RocketMq extends Broker {
  /**
   * Begins to send half messages to a topic of type TRANSACTION, and to answer the broker's check-backs (回查) for it, also for those
   * that an earlier process has left behind.
   *
   * @example
   * const halves = rocketMq.openHalfMessages({ to: 'orders', decide: (id) => ledger.decide(id), onTrouble });
   * await halves.publish(message, { timeoutMs: 5_000 });
   */
  openHalfMessages(options: HalfMessagesOptions): HalfMessages;
}

/**
 * Opens a RocketMQ 5 through its proxy. What is confirmed is on disk where the broker is set to `flushDiskType=SYNC_FLUSH`.
 * Topics and groups are created by its administration alone: ordered topics with `+message.type=FIFO`, ordered groups with
 * `updateSubGroup -o true`, and every group with retries enough that the broker never puts a message aside (`-r 1000000`).
 *
 * @throws TypeError when the URL is malformed
 */
export function createRocketMq({ url }: BrokerOptions): RocketMq {
  if (!/^[\w.-]+:\d{1,5}$/.test(url))
    throw new TypeError(`'${url}' is no address of a RocketMQ proxy; write host:port`);
  const client = createRocketMqClient(url);
  const context = { client, topics: createTopics(client, url) };
  const publisher = createPublisher(context);
  const open = new Set<{ stop(): Promise<void> }>();
  let closing: Promise<void> | undefined;
  const refuseIfClosed = (what: string): void => {
    if (closing) throw new BrokerError('unavailable', `${what}: the connection to RocketMQ has been closed`);
  };
  const keep = <T extends { stop(): Promise<void> }>(started: T): T => {
    open.add(started);
    return { ...started, stop: () => started.stop().finally(() => open.delete(started)) };
  };
  const close = async (): Promise<void> => {
    await Promise.all([publisher.drain(), ...[...open].map((each) => each.stop())]);
    client.close();
  };
  return {
    name: 'rocketmq',
    maxBytes: MAX_BYTES,
    publish: async (message, options) => {
      refuseIfClosed(notSent(message, options.to));
      await publisher.publish(message, options);
    },
    declare: async (destination) => {
      refuseIfClosed(`topic '${destination.name}' cannot be used`);
      await publisher.declare(destination);
    },
    subscribe: (subscription) => {
      refuseIfClosed(`'${subscription.from}' cannot be consumed`);
      return keep(consume(context, subscription));
    },
    openHalfMessages: (options) => {
      refuseIfClosed(`half messages cannot be sent to '${options.to}'`);
      return keep(openHalfMessages(context, options));
    },
    close: () => (closing ??= close()),
  };
}
