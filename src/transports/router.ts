import type { BrokerName } from '../brokers/broker.js';
import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';
import { createBrokerTransport } from './broker-transport.js';
import { createBrokers, type Brokers } from './brokers.js';
import { createBulkheads, type Path, type Place } from './bulkheads.js';
import { createCircuits, type Circuits } from './circuits.js';
import type { HalfSenderOptions } from './half-sender.js';
import { createHttpTransport } from './http.js';
import type { ReplyAddress } from './reply-address.js';
import type { BrokerRoute, Route, Routes, Transport } from './transport.js';

/** Sends an envelope wherever the configuration says that its type goes. */
export interface Router {
  /**
   * Asks whether a message of a type may be sent now; to be asked before anything is recorded of its attempt, as what is held back
   * has not begun. It is while its participant does not answer, but for one message a second, or while the participant has its
   * share of the worker. Then ask again when it says.
   *
   * @param path whose slot the attempt holds. @default none of a worker's: only the participant's health counts
   */
  admit(type: string, path?: Path): Admission;
  /** How many messages of a type it would admit now without a path: no limit, one, or none. */
  room(type: string): number;
  /** Sends once. A type without a route is `unknown`, so that adding the route lets its sagas go on. */
  send(envelope: Envelope, timeoutMs: number, options?: SendOptions): Promise<Outcome>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

/** Whether an attempt may be made. */
export interface Admission {
  /** Set: it may not, now. */
  readonly held?: HeldBack;
  /** Gives back what the attempt has taken of its worker; by its end, sent or not, and as often as one likes. */
  readonly leave: Place['leave'];
}

/** What may not be sent now. */
export interface HeldBack {
  /** When to ask again. */
  readonly retryAfterMs: number;
  /** Whether it may go in a moment. @default false */
  readonly isBrief?: boolean;
  /** For people to read. */
  readonly reason: string;
}

export interface SendOptions {
  /** Whether a broker's durable acceptance is the outcome. @default as the route says */
  readonly fireAndForget?: boolean;
  /** Whether the attempt is shorter than its step allows: that its time was over says nothing of the participant then. @default false */
  readonly isShort?: boolean;
}

/** What a router that knows of brokers is made of. */
export interface RouterOptions {
  /** @default none can be reached */
  readonly brokers?: Brokers;
  /** Where participants answer over brokers. @default nobody can be asked for an answer over one */
  readonly replies?: ReplyAddress;
  /** Answers RocketMQ's check-backs. @default no route can be transactional */
  readonly halves?: HalfSenderOptions;
  /** Of the process. @default its own */
  readonly circuits?: Circuits;
}

/** Where there is nothing to count. */
const ADMITTED: Admission = { leave: () => undefined };

/**
 * The one way from a message to a participant: type → route → transport.
 *
 * @param routes message type → route, from the configuration
 */
export function createRouter(routes: Routes, options: RouterOptions = {}): Router {
  const { brokers = createBrokers({}), circuits = createCircuits() } = options;
  const bulkheads = createBulkheads();
  const transports = openTransports(brokers, options);
  const participants = new Map(Object.entries(routes).map(([type, route]) => [type, participantOf(route)]));
  const hold = (participant: string, held: HeldBack): Admission => {
    circuits.countHeld(participant);
    return { ...ADMITTED, held };
  };
  return {
    admit: (type, path) => {
      const participant = participants.get(type);
      // sending it says what is missing
      if (participant === undefined) return ADMITTED;
      const place = path && bulkheads.enter(participant, path);
      if (place && 'isBrief' in place)
        return hold(participant, { ...place, reason: `${participant} has its share of this worker` });
      const circuit = circuits.of(participant);
      // a probe is given the time of its step, which an attempt on the fast path has not
      const retryAfterMs = path === 'fast' && circuit.isOpen ? circuit.nextTurnMs() : circuit.admit();
      if (retryAfterMs === undefined) return place ?? ADMITTED;
      place?.leave();
      return hold(participant, { retryAfterMs, reason: `${participant} does not answer: ${circuit.detail}` });
    },
    room: (type) => {
      const participant = participants.get(type);
      return participant === undefined ? Infinity : circuits.of(participant).room();
    },
    send: async (envelope, timeoutMs, sendOptions = {}) => {
      const route: Route | undefined = routes[envelope.type];
      if (!route) return { kind: 'unknown', detail: missingRoute(envelope) };
      const begunAt = performance.now();
      const outcome = await transports.send({ envelope, route, timeoutMs }, sendOptions);
      const isCutShort = sendOptions.isShort === true && performance.now() - begunAt >= timeoutMs - 50;
      const participant = participants.get(envelope.type)!;
      const { messageId } = envelope;
      if (outcome.kind !== 'unknown') {
        circuits.note(participant, { messageId });
        return outcome;
      }
      if (!isCutShort) circuits.note(participant, { messageId, unanswered: outcome.detail });
      const circuit = circuits.of(participant);
      // its own back-off, for which what was held counts as an attempt, would keep it waiting when the participant is back
      return circuit.isOpen
        ? { ...outcome, retryAfterMs: Math.max(circuit.nextTurnMs(), outcome.retryAfterMs ?? 0) }
        : outcome;
    },
    close: async () => {
      await Promise.all([transports.close(), brokers.close()]);
    },
  };
}

interface Dispatch {
  readonly envelope: Envelope;
  readonly route: Route;
  readonly timeoutMs: number;
}

/** Each transport is opened when it is first needed. */
function openTransports(
  brokers: Brokers,
  { replies, halves }: RouterOptions,
): { send(dispatch: Dispatch, options: SendOptions): Promise<Outcome>; close(): Promise<void> } {
  const http = createHttpTransport();
  const brokered = new Map<BrokerName, Transport<BrokerRoute>>();
  const over = (name: BrokerName): Transport<BrokerRoute> => {
    const known = brokered.get(name) ?? createBrokerTransport({ open: () => brokers.open(name), replies, halves });
    brokered.set(name, known);
    return known;
  };
  return {
    send: ({ envelope, route, timeoutMs }, { fireAndForget }) => {
      if (route.transport === 'http') return http.send(envelope, route, timeoutMs);
      const asked = { ...route, fireAndForget: fireAndForget ?? route.fireAndForget };
      return over(route.transport).send(envelope, asked, timeoutMs);
    },
    close: () => http.close(),
  };
}

/**
 * Who answers, or does not: over a broker, the broker itself with its destination. That a participant behind it is silent is no
 * matter of circuits, as the broker keeps what it is given, and nothing is sent again before an answer has been waited for.
 */
function participantOf(route: Route): string {
  return route.transport === 'http' ? new URL(route.url).origin : `${route.transport}:${route.to}`;
}

function missingRoute({ messageId, type }: Envelope): string {
  return `message '${messageId}' has no route for type '${type}'; add one under that type in SETTLE_ROUTES`;
}
