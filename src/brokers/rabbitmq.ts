import type { Broker } from './broker.js';

/** How to reach it. */
export interface BrokerOptions {
  readonly url: string;
}

export function createRabbitMq({ url }: BrokerOptions): Broker {
  throw new TypeError(`'${url}' cannot be opened yet`);
}
