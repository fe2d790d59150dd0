import type { Envelope } from '../saga/envelope.js';
import type { Outcome } from '../saga/outcome.js';

/**
 * Carries an envelope to a participant and brings its outcome back. One adapter a file; users may write their own.
 *
 * What every transport promises: it sends at least once, it never counts as `done` what the participant has not
 * confirmed, it answers `unknown` for whatever it cannot tell, and it never throws for the network's sake.
 */
export interface Transport {
  /** Sends once and waits for the outcome, `timeoutMs` at the most. */
  send(envelope: Envelope, route: Route, timeoutMs: number): Promise<Outcome>;
  /** Lets what is under way finish, then closes every connection. */
  close(): Promise<void>;
}

/** Where messages of a type go: configuration, never named by a saga. */
export interface Route {
  /** @default 'http' */
  readonly transport: 'http';
  /** Absolute URL for `http`. */
  readonly url: string;
  /** One attempt, in ms; the shorter of this and the step's own timeout holds. @default the step's timeout */
  readonly timeoutMs?: number;
  /**
   * Whether messages of the outbox that have the same order key are delivered one after the other: the next once the one before
   * is; a dead one holds those behind it up until an operator has dealt with it. @default false
   */
  readonly ordered?: boolean;
}

/** Message type → route. */
export type Routes = Readonly<Record<string, Route>>;
