import type { BrokerName } from '../../brokers/broker.js';
import type { Config } from '../../config.js';
import { deadLettersOf } from '../../participant/index.js';
import { replyAddressOf } from '../../saga/envelope.js';
import type { BrokerRoute } from '../../transports/transport.js';
import type { PreparedDestination } from './brokers.js';

/** What the routes lead to at one broker, with replies and dead letters; each sample participant consumes as a group of its name. */
export function sampleDestinations({ routes, temporal }: Config, broker: BrokerName): readonly PreparedDestination[] {
  const over = Object.values(routes).filter((route): route is BrokerRoute => route.transport === broker);
  const byName = new Map(over.map((route) => [route.to, route]));
  const replies = replyAddressOf(temporal.taskQueue);
  return [
    ...[...byName].flatMap(([name, { ordered, transactional }]) => [
      { name, groups: [name], ordered, transactional },
      { name: deadLettersOf(name, broker), groups: [] },
    ]),
    { name: replies, groups: [replies] },
  ];
}
