import type pg from 'pg';
import type { Registry } from 'prom-client';
import type { Broker } from '../brokers/broker.js';
import { openBroker } from '../brokers/open-broker.js';
import { createAttemptCounter } from './attempts.js';
import { consumeWith, type ConsumeSettings, type RunningConsumer } from './consume-with.js';
import type { ConsumerTransport } from './consumer.js';
import { createConsumerMetrics } from './consumer-metrics.js';
import type { Participant } from './participant.js';

/** From where a participant takes messages beside HTTP. */
export interface ServedConsumer extends ConsumeSettings {
  readonly transport: ConsumerTransport;
}

/** What the consumers of one participant share. */
export interface ServedParts {
  readonly participant: Participant;
  readonly pool: pg.Pool;
  readonly registry: Registry;
  readonly schema?: string;
  readonly logger?: ConsumeSettings['logger'];
}

/**
 * Starts consumers for a participant that is served already: one inbox, one count of attempts, one page of metrics.
 *
 * @returns what stops them, and closes the brokers that were opened for them
 * @throws TypeError when the URL of a broker is malformed, or a number makes no sense
 */
export async function startConsumers(
  consumers: readonly ServedConsumer[],
  { participant, pool, registry, schema, logger }: ServedParts,
): Promise<{ stop(): Promise<void> }> {
  if (consumers.length === 0) return { stop: () => Promise.resolve() };
  const attempts = createAttemptCounter(pool, { consumer: participant.consumer, schema });
  const metrics = createConsumerMetrics(registry);
  const brokers: Broker[] = [];
  const running: RunningConsumer[] = [];
  const stop = async (): Promise<void> => {
    await Promise.all(running.map((consumer) => consumer.stop()));
    await Promise.all(brokers.map((broker) => broker.close()));
  };
  try {
    for (const { transport, ...settings } of consumers) {
      const isOurs = !('subscribe' in transport);
      const broker = isOurs ? await openBroker(transport.name, transport.url) : transport;
      if (isOurs) brokers.push(broker);
      running.push(consumeWith({ logger, ...settings, broker, participant, attempts, metrics }));
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return { stop };
}
