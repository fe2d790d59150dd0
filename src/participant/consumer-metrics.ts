import { Counter, Gauge, type Registry } from 'prom-client';

/** Why a message is tried again. */
export type RetryCause = 'fault' | 'asked-for-time' | 'unavailable';

/** What a consumer counts. */
export interface ConsumerMetrics {
  /** A message that has been dealt with, by the inbox's word for it, or `dead`. */
  countMessage(from: string, outcome: string): void;
  countRetry(from: string, cause: RetryCause): void;
  countDeadLetter(from: string, code: string): void;
  /** @param outcome `done`, `rejected`, `working`; `lost`: nobody can receive it */
  countReply(from: string, outcome: string): void;
  /** A message has come (1) or gone (-1). */
  addInFlight(from: string, difference: 1 | -1): void;
}

/**
 * - `settle_consumer_messages_total{from,outcome}`
 * - `settle_consumer_retries_total{from,cause}`
 * - `settle_consumer_dead_letters_total{from,code}`
 * - `settle_consumer_replies_total{from,outcome}`
 * - `settle_consumer_in_flight{from}`: taken from the broker and not yet acknowledged
 */
export function createConsumerMetrics(registry: Registry): ConsumerMetrics {
  const counter = <Label extends string>(name: string, help: string, label: Label): Counter<'from' | Label> =>
    new Counter({ name, help, labelNames: ['from', label], registers: [registry] });
  const messages = counter('settle_consumer_messages_total', 'Messages dealt with, by outcome', 'outcome');
  const retries = counter('settle_consumer_retries_total', 'Attempts that are to be repeated, by cause', 'cause');
  const dead = counter('settle_consumer_dead_letters_total', 'Messages given up, by the code of the reason', 'code');
  const replies = counter('settle_consumer_replies_total', 'Replies confirmed by the broker, or lost', 'outcome');
  const inFlight = new Gauge({
    name: 'settle_consumer_in_flight',
    help: 'Messages taken from the broker and not yet acknowledged',
    labelNames: ['from'],
    registers: [registry],
  });
  return {
    countMessage: (from, outcome) => messages.inc({ from, outcome }),
    countRetry: (from, cause) => retries.inc({ from, cause }),
    countDeadLetter: (from, code) => dead.inc({ from, code }),
    countReply: (from, outcome) => replies.inc({ from, outcome }),
    addInFlight: (from, difference) => inFlight.inc({ from }, difference),
  };
}
