import type { BrokerName } from '../brokers/broker.js';
import type { BrokerUrls } from '../brokers/open-broker.js';
import type { Routes } from '../transports/transport.js';
import { participantOf, type ParticipantName, type SampleConsumer } from './participants.js';

/**
 * Where the sample participants take messages from: the destinations of the routes of what they handle, so that one configuration says it
 * for both sides.
 */
export function sampleConsumers({
  routes,
  brokers,
}: {
  readonly routes: Routes;
  readonly brokers: BrokerUrls;
}): readonly SampleConsumer[] {
  const found = new Map<string, SampleConsumer & { readonly from: string[] }>();
  for (const [type, route] of Object.entries(routes)) {
    const participant = participantOf(type);
    if (participant === undefined || route.transport === 'http') continue;
    const url = brokers[route.transport];
    if (url === undefined) continue;
    const { to, ordered = false } = route;
    const key = keyOf(participant, route.transport, ordered);
    const consumer = found.get(key) ?? { participant, transport: { name: route.transport, url }, from: [], ordered };
    if (!consumer.from.includes(to)) consumer.from.push(to);
    found.set(key, consumer);
  }
  return [...found.values()];
}

/** What shares a connection. */
function keyOf(participant: ParticipantName, broker: BrokerName, ordered: boolean): string {
  return `${participant} ${broker} ${ordered}`;
}
