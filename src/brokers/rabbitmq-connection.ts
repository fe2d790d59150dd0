import { setTimeout as delay } from 'node:timers/promises';
import { Connection } from 'rabbitmq-client';
import type { Channel } from 'rabbitmq-client';
import { FRAME_BYTES } from './rabbitmq-message.js';

/**
 * A connection that is opened when it is first needed, and anew with back-off whenever it is lost.
 * What publishes and what consumes must not share one: the broker stops reading from connections that publish when it is full.
 */
export interface RabbitConnection {
  /** Opens a channel as soon as there is a connection; rejects when there is none for a while. */
  acquire(): Promise<Channel>;
  /** Why the broker takes no messages from it; undefined while it takes them. */
  blockedBy(): string | undefined;
  /** What broke it last, or kept it from being opened; undefined while it is well. */
  problem(): Error | undefined;
  /** Ends it, by force where the broker does not answer. */
  close(): Promise<void>;
}

/** The client doubles from the first to the second, and picks at random within: a broker that is back is noticed within 5 s. */
const RETRY_MS = { retryLow: 200, retryHigh: 5_000 };
const ACQUIRE_MS = 10_000;
const CONNECT_MS = 5_000;
/** Two of these without a word: a connection that was cut silently is given up after 20 s. */
const HEARTBEAT_S = 10;
const FAREWELL_MS = 2_000;

/** @param name as the broker's operators see it */
export function connectWhenNeeded(url: string, name: string): RabbitConnection {
  let connection: Connection | undefined;
  let isClosed = false;
  let blockedBy: string | undefined;
  let problem: Error | undefined;
  const open = (): Connection => {
    const opened = new Connection({
      ...{ url, connectionName: name, frameMax: FRAME_BYTES, heartbeat: HEARTBEAT_S, noDelay: true },
      ...{ ...RETRY_MS, acquireTimeout: ACQUIRE_MS, connectionTimeout: CONNECT_MS },
    });
    opened.on('error', (error: Error) => {
      problem = error;
      // the next connection is told anew, once it publishes
      blockedBy = undefined;
    });
    opened.on('connection', () => (problem = blockedBy = undefined));
    opened.on('connection.blocked', (reason) => (blockedBy = reason === '' ? 'low on resources' : reason));
    opened.on('connection.unblocked', () => (blockedBy = undefined));
    return opened;
  };
  return {
    acquire: async () => {
      if (isClosed) throw new Error('the connection has been closed');
      connection ??= open();
      return connection.acquire({ emitErrorsFromChannel: true });
    },
    blockedBy: () => blockedBy,
    problem: () => problem,
    close: async () => {
      isClosed = true;
      if (connection === undefined) return;
      await within(FAREWELL_MS, connection.close());
      connection.unsafeDestroy();
    },
  };
}

/** Why something failed, in a few words: where several addresses were tried, Node's own message is empty. */
export function reasonOf(error: Error | undefined): string {
  if (error === undefined) return 'no answer';
  // what the client has no name for it calls undefined
  if (error.message !== '') return error.message.replace(/^undefined: /, '');
  return (error as { readonly code?: string }).code ?? error.name;
}

/** Closes a channel; what was not acknowledged on it goes back, at the latest with its connection. */
export async function closeChannel(channel: Channel): Promise<void> {
  await within(FAREWELL_MS, channel.close());
}

/** Waits for what concerns nobody any more, but no longer than `ms`: a broker that is gone or takes nothing does not answer. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const patience = new AbortController();
  const settled = work.then(
    () => undefined,
    // it fails only because the connection is lost, and then there is nothing left to end
    () => undefined,
  );
  await Promise.race([settled, delay(ms, undefined, { signal: patience.signal })]);
  patience.abort();
}
