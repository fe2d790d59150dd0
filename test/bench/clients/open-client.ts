import type { BrokerName } from '../../../src/brokers/broker.js';
import { createKafkaClient } from './kafka.js';
import { createRabbitClient } from './rabbitmq.js';
import { createRedisClient } from './redis.js';
import { createRocketClient } from './rocketmq.js';
import type { BareClient } from './client.js';

/** Opens a client. */
export function openClient(name: BrokerName, url: string): Promise<BareClient> {
  switch (name) {
    case 'rabbitmq':
      return createRabbitClient(url);
    case 'kafka':
      return createKafkaClient(url);
    case 'rocketmq':
      return createRocketClient(url);
    case 'redis':
      return createRedisClient(url);
  }
}
