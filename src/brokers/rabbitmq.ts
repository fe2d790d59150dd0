import { BrokerError } from './broker.js';
import type { Broker, Consumption } from './broker.js';
import { connectWhenNeeded } from './rabbitmq-connection.js';
import { consume } from './rabbitmq-consumer.js';
import { declareQueue } from './rabbitmq-queue.js';
import { ATTRIBUTE_PREFIX, MAX_BYTES } from './rabbitmq-message.js';
import { createPublisher } from './rabbitmq-publisher.js';

/** How to reach it. */
export interface BrokerOptions {
  /** `amqp://user:password@host:5672/vhost`, or `amqps://…`; without a user it is RabbitMQ's own `guest`, as other clients have it. */
  readonly url: string;
}

/**
 * Opens RabbitMQ 3.10 or later. A destination is a quorum queue of that name, and its consumers are one group: whoever consumes it shares it.
 *
 * - sent: a majority of the queue's nodes has the message on disk (publisher confirms); what no queue keeps is an error (`mandatory`)
 * - ordered: the queue gives its messages to one consumer at a time (single active consumer), and to the next one when that is gone
 * - full: while a node is low on memory or disk, or the queue is at its limit
 *
 * From RabbitMQ 4.0 on, set the policy `delivery-limit: -1`: else the broker throws a message away that was given back 20 times.
 *
 * @throws TypeError when the URL is malformed
 */
export function createRabbitMq(options: BrokerOptions): Broker {
  const url = checkedUrl(options.url);
  // a full broker stops reading from connections that publish, so acknowledgements and declarations go over another
  const outgoing = connectWhenNeeded(url, 'settle: publishes');
  const incoming = connectWhenNeeded(url, 'settle: consumes');
  const publisher = createPublisher(outgoing);
  const consumptions = new Set<Consumption>();
  let isClosed = false;
  return {
    name: 'rabbitmq',
    attributePrefix: ATTRIBUTE_PREFIX,
    maxBytes: MAX_BYTES,
    publish: (message, options) => publisher.publish(message, options),
    declare: (destination) => declareQueue(incoming, destination),
    subscribe: (subscription) => {
      if (isClosed)
        throw new BrokerError(
          'unavailable',
          `queue '${subscription.from}' is not consumed: the broker has been closed`,
        );
      const consumption = consume(incoming, subscription);
      consumptions.add(consumption);
      const stop = async (): Promise<void> => {
        await consumption.stop();
        consumptions.delete(consumption);
      };
      return { ready: consumption.ready, stop };
    },
    close: async () => {
      isClosed = true;
      // what is being handled may still want to publish its answer
      await Promise.all([...consumptions].map((consumption) => consumption.stop()));
      await publisher.drain();
      await Promise.all([outgoing.close(), incoming.close()]);
    },
  };
}

/** Without the URL in what it says: there is a password in it. */
function checkedUrl(url: string): string {
  const remedy = 'write amqp://user:password@host:5672/vhost';
  let parsed: URL;
  try {
    parsed = new URL(url);
    decodeURIComponent(`${parsed.username}${parsed.password}${parsed.pathname}`);
  } catch (cause) {
    throw new TypeError(`the URL of RabbitMQ is malformed; ${remedy}`, { cause });
  }
  if (!['amqp:', 'amqps:'].includes(parsed.protocol) || parsed.hostname === '')
    throw new TypeError(`the URL of RabbitMQ begins with '${parsed.protocol}'; ${remedy}`);
  // its client takes the brackets for a part of the name
  if (parsed.hostname.startsWith('['))
    throw new TypeError('the URL of RabbitMQ has an IPv6 address; write a name that leads to it');
  // a user without a password has none
  if (parsed.username === '') {
    parsed.username = 'guest';
    parsed.password ||= 'guest';
  }
  return parsed.href;
}
