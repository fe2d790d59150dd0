import { once } from 'node:events';
import { Connection, type Consumer } from 'rabbitmq-client';
import { CONCURRENCY, type BareClient } from './client.js';

/** `rabbitmq-client`: a publisher with confirms, a consumer that acknowledges each message. */
export async function createRabbitClient(url: string): Promise<BareClient> {
  const connection = new Connection(url);
  await connection.onConnect();
  const consumers: Consumer[] = [];
  const publisher = connection.createPublisher({ confirm: true });
  return {
    send: (to, messageId, body) => publisher.send({ routingKey: to, durable: true, messageId }, body),
    consume: async (queue, handle) => {
      const consumer = connection.createConsumer(
        { queue, queueOptions: { passive: true }, qos: { prefetchCount: 2 * CONCURRENCY }, concurrency: CONCURRENCY },
        ({ body }) => handle(body as Buffer),
      );
      consumers.push(consumer);
      await once(consumer, 'ready');
    },
    close: async () => {
      await Promise.all([publisher, ...consumers].map((each) => each.close()));
      await connection.close();
    },
  };
}
