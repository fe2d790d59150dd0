import type { BrokerName } from '../brokers/broker.js';
import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';
import { createBrokerTransport } from './broker-transport.js';
import { createBrokers, type Brokers } from './brokers.js';
import type { HalfSenderOptions } from './half-sender.js';
import { createHttpTransport } from './http.js';
import type { ReplyAddress } from './reply-address.js';
import type { BrokerRoute, Route, Routes, Transport } from './transport.js';

/** Sends an envelope wherever the configuration says that its type goes. */
export interface Router {
  /** Sends once. A type without a route is `unknown`, so that adding the route lets its sagas go on. */
  send(envelope: Envelope, timeoutMs: number, options?: SendOptions): Promise<Outcome>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

export interface SendOptions {
  /** Whether a broker's durable acceptance is the outcome. @default as the route says */
  readonly fireAndForget?: boolean;
}

/** What a router that knows of brokers is made of. */
export interface RouterOptions {
  /** @default none can be reached */
  readonly brokers?: Brokers;
  /** Where participants answer over brokers. @default nobody can be asked for an answer over one */
  readonly replies?: ReplyAddress;
  /** Answers RocketMQ's check-backs. @default no route can be transactional */
  readonly halves?: HalfSenderOptions;
}

/**
 * The one way from a message to a participant: type → route → transport.
 *
 * @param routes message type → route, from the configuration
 */
export function createRouter(routes: Routes, options: RouterOptions = {}): Router {
  const { brokers = createBrokers({}), replies, halves } = options;
  const http = createHttpTransport();
  const brokered = new Map<BrokerName, Transport<BrokerRoute>>();
  const over = (name: BrokerName): Transport<BrokerRoute> => {
    const known = brokered.get(name) ?? createBrokerTransport({ open: () => brokers.open(name), replies, halves });
    brokered.set(name, known);
    return known;
  };
  return {
    send: async (envelope, timeoutMs, { fireAndForget } = {}) => {
      const route: Route | undefined = routes[envelope.type];
      if (!route) return { kind: 'unknown', detail: missingRoute(envelope) };
      if (route.transport === 'http') return http.send(envelope, route, timeoutMs);
      const asked = { ...route, fireAndForget: fireAndForget ?? route.fireAndForget };
      return over(route.transport).send(envelope, asked, timeoutMs);
    },
    close: async () => {
      await Promise.all([http.close(), brokers.close()]);
    },
  };
}

function missingRoute({ messageId, type }: Envelope): string {
  return `message '${messageId}' has no route for type '${type}'; add one under that type in SETTLE_ROUTES`;
}
