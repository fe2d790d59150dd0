import type { BrokerName } from '../brokers/broker.js';
import type { ContentMode } from '../brokers/cloud-event.js';
import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';

/**
 * Carries an envelope to a participant and brings its outcome back. One adapter a file; users may write their own.
 *
 * What every transport promises: it sends at least once, it never counts as `done` what the participant has not
 * confirmed, it answers `unknown` for whatever it cannot tell, and it never throws for the network's sake.
 */
export interface Transport<Kind extends Route = Route> {
  /** Sends once and waits for the outcome, `timeoutMs` at the most. */
  send(envelope: Envelope, route: Kind, timeoutMs: number): Promise<Outcome>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

/** Where messages of a type go: configuration, never named by a saga. */
export type Route = HttpRoute | BrokerRoute;

/** What a route may say whatever its transport. */
export interface RouteOptions {
  /** One attempt, in ms; the shorter of this and the step's own timeout holds. @default the step's timeout */
  readonly timeoutMs?: number;
  /**
   * Whether messages of the outbox that have the same order key are delivered one after the other: the next once the one before
   * is; a dead one holds those behind it up until an operator has dealt with it. Over a broker it also keeps the order of what it
   * is given of one key, a saga's messages among them. @default false
   */
  readonly ordered?: boolean;
}

/** To a participant that answers at once. CloudEvents in binary mode. */
export interface HttpRoute extends RouteOptions {
  /** @default 'http' */
  readonly transport: 'http';
  /** Absolute. */
  readonly url: string;
}

/** By way of a broker; the participant's answer comes back on a reply destination of the same broker. */
export interface BrokerRoute extends RouteOptions {
  readonly transport: BrokerName;
  /** Queue, topic or stream. */
  readonly to: string;
  /** How the CloudEvent is written; `binary` only over RabbitMQ and Kafka, whose bindings define it. @default 'structured' */
  readonly mode?: ContentMode;
  /** Body and headers together, in bytes; a larger message is refused before it is sent. @default what the broker takes */
  readonly maxBytes?: number;
  /**
   * Whether half messages and messages of the outbox are delivered once the broker has them: nobody answers. A saga's step says so
   * in its message contract instead, where its participant can read it too. @default false
   */
  readonly fireAndForget?: boolean;
  /**
   * RocketMQ only: sends by way of its transactional messages; its check is answered from our ledger, so that what an operator has
   * withdrawn meanwhile is not delivered. @default false
   */
  readonly transactional?: boolean;
}

/** Message type → route. */
export type Routes = Readonly<Record<string, Route>>;
