import type { Broker, BrokerName } from './broker.js';

/** How to reach each broker; what is not set cannot be used. */
export interface BrokerUrls {
  /** `amqp://user:password@host:5672` or `amqps://…` */
  readonly rabbitmq?: string;
  /** `host:port,host:port` of bootstrap brokers. */
  readonly kafka?: string;
  /** `host:port` of a proxy (gRPC). */
  readonly rocketmq?: string;
  /** `redis://user:password@host:6379/0` or `rediss://…` */
  readonly redis?: string;
}

/**
 * Opens a broker. Its client is loaded only now, so that a process that speaks HTTP alone carries none.
 * Nothing is connected before it is needed.
 *
 * @throws TypeError when its URL is malformed
 */
export async function openBroker(name: BrokerName, url: string): Promise<Broker> {
  switch (name) {
    case 'rabbitmq':
      return (await import('./rabbitmq.js')).createRabbitMq({ url });
    case 'kafka':
      return (await import('./kafka.js')).createKafka({ url });
    case 'rocketmq':
      return (await import('./rocketmq.js')).createRocketMq({ url });
    case 'redis':
      return (await import('./redis.js')).createRedisStreams({ url });
  }
}
