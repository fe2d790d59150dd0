import { createClient, ErrorReply, RESP_TYPES } from '@redis/client';
import type { RedisClientType, RedisFunctions, RedisModules, RedisScripts } from '@redis/client';
import { BrokerError } from './broker.js';

/** The little of a Redis client that scripts need; a client of `@redis/client` has it too. */
export interface RedisCommands {
  sendCommand(args: readonly string[]): Promise<unknown>;
}

/** How one command is sent. */
export interface SendOptions {
  /** Until it is answered, in ms. @default the connection's */
  readonly timeoutMs?: number;
  /** Whether texts come as bytes. @default false */
  readonly asBuffers?: boolean;
}

/** One connection that is opened when it is first needed, and anew whenever it is lost. */
export interface RedisConnection extends RedisCommands {
  /** `host:port`, for errors. */
  readonly address: string;
  /** Another number after every loss: `WAIT` asks only about what was written since. */
  readonly epoch: number;
  /** Whether there is a connection at this moment. */
  isReady(): boolean;
  /**
   * Sends a command, once.
   *
   * @throws ErrorReply what Redis answered
   * @throws BrokerError `unavailable` or `timeout`: perhaps done all the same
   */
  send(args: readonly (string | Buffer)[], options?: SendOptions): Promise<unknown>;
  /** Waits for what was sent; refuses what waits for a connection. */
  close(): Promise<void>;
}

export interface ConnectionOptions {
  /** `redis://` or `rediss://`, as `createClient` takes it. */
  readonly url: string;
  /** How Redis lists it among its clients. */
  readonly name: string;
  /** For commands that say nothing else, in ms. @default 5000 */
  readonly timeoutMs?: number;
  /** Told of each failed attempt to connect and of each loss. */
  readonly onTrouble?: (error: Error) => void;
}

const DEFAULT_TIMEOUT_MS = 5_000;
const CONNECT_MS = 5_000;
const BUFFERS = { [RESP_TYPES.BLOB_STRING]: Buffer };

type Client = RedisClientType<RedisModules, RedisFunctions, RedisScripts, 2>;

/**
 * A connection to one Redis. Nothing is opened before the first command.
 *
 * @throws TypeError when the URL is malformed
 */
export function createRedisConnection(options: ConnectionOptions): RedisConnection {
  const address = addressOf(options.url);
  const link = createLink(options, address);
  const pending = new Set<Promise<unknown>>();
  let answers = 0;

  const attempt = async (args: readonly (string | Buffer)[], send: SendOptions): Promise<unknown> => {
    const limitMs = send.timeoutMs ?? options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
    const end = performance.now() + limitMs;
    const client = link.client() ?? (await link.untilReady(limitMs));
    const answersBefore = answers;
    const answer = client.sendCommand<unknown>(args, send.asBuffers ? { typeMapping: BUFFERS } : undefined).then(
      (reply) => {
        answers += 1;
        return reply;
      },
      (cause: Error) => {
        if (!(cause instanceof ErrorReply)) throw lost(address, cause);
        answers += 1;
        throw cause;
      },
    );
    return within(answer, end - performance.now(), () => {
      // nothing at all came since: the other end is gone without a word, and TCP would take minutes to notice
      if (answers === answersBefore) link.renew(client);
      return new BrokerError('timeout', `Redis at ${address} did not answer within ${limitMs} ms`);
    });
  };
  const send = (args: readonly (string | Buffer)[], sendOptions: SendOptions = {}): Promise<unknown> => {
    const sent = attempt(args, sendOptions).finally(() => pending.delete(sent));
    pending.add(sent);
    return sent;
  };
  return {
    address,
    get epoch() {
      return link.epoch();
    },
    isReady: () => link.client() !== undefined,
    send,
    sendCommand: (args) => send(args),
    close: async () => {
      link.shut();
      await Promise.allSettled(pending);
      link.destroy();
    },
  };
}

/** The client of the moment. */
interface Link {
  epoch(): number;
  /** Undefined while there is no connection. */
  client(): Client | undefined;
  untilReady(timeoutMs: number): Promise<Client>;
  /** Lets `stale` go, so that the next command opens another. */
  renew(stale: Client): void;
  /** Refuses those that wait and those to come. */
  shut(): void;
  destroy(): void;
}

function createLink(options: ConnectionOptions, address: string): Link {
  let current: Client | undefined;
  let epoch = 0;
  let isShut = false;
  let lastError: Error | undefined;
  let gate: ReturnType<typeof newGate> | undefined;
  const note = (error: Error): void => {
    lastError = error;
    if (!isShut) options.onTrouble?.(error);
  };
  const open = (): Client => {
    const client = newClient(options);
    client.on('error', note);
    client.on('ready', () => {
      epoch += 1;
      gate?.open();
      gate = undefined;
    });
    // it tries again by itself for ever; this rejects only once it has been let go
    client.connect().catch((error: Error) => void (lastError = error));
    return client;
  };
  const link: Link = {
    epoch: () => epoch,
    client: () => (current?.isReady && !isShut ? current : undefined),
    untilReady: async (timeoutMs) => {
      const end = performance.now() + timeoutMs;
      for (;;) {
        if (isShut) throw new BrokerError('unavailable', `the connection to Redis at ${address} is closed`);
        current ??= open();
        if (current.isReady) return current;
        gate ??= newGate();
        await within(gate.opened, end - performance.now(), () => lost(address, lastError));
      }
    },
    renew: (stale) => {
      if (current !== stale) return;
      current = undefined;
      stale.destroy();
    },
    shut: () => {
      isShut = true;
      gate?.open();
    },
    destroy: () => current?.destroy(),
  };
  return link;
}

function newClient({ url, name }: ConnectionOptions): Client {
  return createClient<RedisModules, RedisFunctions, RedisScripts, 2>({
    url,
    name,
    // lists and texts, whichever server it is
    RESP: 2,
    // a command that waits for a connection waits here, where its time is known
    disableOfflineQueue: true,
    commandOptions: { timeout: undefined },
    maintNotifications: 'disabled',
    disableClientInfo: true,
    socket: { connectTimeout: CONNECT_MS, reconnectStrategy: backOff },
  });
}

/** 50 ms doubled up to 2 s, spread so that the clients of a server do not come back all at once. */
function backOff(retries: number): number {
  return Math.min(50 * 2 ** Math.min(retries, 10), 2_000) * (0.75 + Math.random() / 2);
}

function newGate(): { readonly opened: Promise<void>; readonly open: () => void } {
  let open!: () => void;
  const opened = new Promise<void>((resolve) => (open = resolve));
  return { opened, open };
}

/** Rejects with what `late` makes when `work` takes longer. */
async function within<T>(work: Promise<T>, limitMs: number, late: () => Error): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const over = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(late()), Math.max(0, limitMs));
  });
  try {
    return await Promise.race([work, over]);
  } finally {
    clearTimeout(timer);
  }
}

function lost(address: string, cause: Error | undefined): BrokerError {
  const why = cause ? ` (${cause.message || cause.name})` : '';
  return new BrokerError('unavailable', `Redis at ${address} cannot be reached${why}`, { cause });
}

function addressOf(url: string): string {
  const { protocol, hostname, port } = URL.canParse(url) ? new URL(url) : { protocol: '', hostname: '', port: '' };
  // the URL itself may hold a password
  if (!/^rediss?:$/.test(protocol) || hostname === '') {
    throw new TypeError('the URL of Redis is malformed; write redis://user:password@host:6379/0 or rediss://…');
  }
  return `${hostname}:${port || '6379'}`;
}
