import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';

export interface ListenOptions {
  /** A `postgres://` URL that leads to the server itself: a pooler in transaction mode passes no notifications on. */
  readonly url: string;
  readonly channel: string;
  /** Called for each notification, and whenever the connection stands anew: what was said meanwhile is lost. */
  readonly onWake: () => void;
  /** Called instead for each notification, with what it says. */
  readonly onNotice?: (payload: string) => void;
  /** Told of connections that break or cannot be made. */
  readonly onError?: (error: Error) => void;
}

export interface Listener {
  stop(): Promise<void>;
}

const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/** Listens on a connection of its own, and connects again for as long as it takes when that breaks. */
export function listen({ onWake, onError, ...options }: ListenOptions): Listener {
  const stopping = new AbortController();
  const run = async (): Promise<void> => {
    for (let pauseMs = FIRST_PAUSE_MS; !stopping.signal.aborted; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
      try {
        await listenOnce({ ...options, onWake: () => ((pauseMs = FIRST_PAUSE_MS), onWake()) }, stopping.signal);
      } catch (error) {
        onError?.(error as Error);
      }
      await pause(pauseMs, undefined, { signal: stopping.signal });
    }
  };
  // only the pause that stopping ends rejects
  const ended = run().catch(() => undefined);
  return {
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}

/** One connection, until it breaks or the listener is stopped. */
async function listenOnce({ url, channel, onWake, onNotice }: ListenOptions, signal: AbortSignal): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 2_000,
    keepAlive: true,
    application_name: 'settle-listen',
  });
  const over = new Promise<void>((resolve, reject) => {
    client.once('error', reject).once('end', resolve);
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
  over.catch(() => undefined);
  client.on('notification', ({ payload = '' }) => (onNotice ? onNotice(payload) : onWake()));
  try {
    await client.connect();
    await client.query(`listen ${pg.escapeIdentifier(channel)}`);
    onWake();
    await over;
  } finally {
    await client.end().catch(() => undefined);
  }
}
