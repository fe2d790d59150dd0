import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';
import { createHttpTransport } from './http.js';
import type { Routes } from './transport.js';

/** Sends an envelope wherever the configuration says that its type goes. */
export interface Router {
  /** Sends once. A type without a route is `unknown`, so that adding the route lets its sagas go on. */
  send(envelope: Envelope, timeoutMs: number): Promise<Outcome>;
  close(): Promise<void>;
}

/**
 * The one way from a message to a participant: type → route → transport.
 *
 * @param routes message type → route, from the configuration
 */
export function createRouter(routes: Routes): Router {
  const http = createHttpTransport();
  return {
    send: async (envelope, timeoutMs) => {
      const route = routes[envelope.type];
      if (!route) return { kind: 'unknown', detail: missingRoute(envelope) };
      if (route.transport !== 'http') return { kind: 'unknown', detail: `'${route.transport}' cannot be sent to yet` };
      return http.send(envelope, route, timeoutMs);
    },
    close: () => http.close(),
  };
}

function missingRoute({ messageId, type }: Envelope): string {
  return `message '${messageId}' has no route for type '${type}'; add one under that type in SETTLE_ROUTES`;
}
