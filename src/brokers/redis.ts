import { BrokerError, type Broker } from './broker.js';
import { createRedisConnection } from './redis-connection.js';
import { consumeStream, type ConsumerTimes } from './redis-consumption.js';
import { makeStream } from './redis-group.js';
import { createPublisher, MAX_ENTRY_BYTES, type Durability } from './redis-publisher.js';

/** How to reach it. */
export interface BrokerOptions extends ConsumerTimes {
  /**
   * `redis://user:password@host:6379/0` or `rediss://…`, with what "stored" means behind a question mark:
   *
   * | option | an entry counts as stored once |
   * |---|---|
   * | none | Redis has it, which must be set to `appendonly yes` and `appendfsync always`; asked where this user may |
   * | `replicas=1` | so many replicas have it in memory (`WAIT`) |
   * | `waitaof=1` | it is on the disk, and on those of `replicas` too (`WAITAOF`, Redis 7.2) |
   * | `fsync=any` | Redis has it, however it is set: what it had not written is lost when it crashes |
   */
  readonly url: string;
}

/**
 * Redis Streams, Redis 7 or later, one server (and its replicas): a message is an entry, a destination a stream, a group a consumer group.
 *
 * - what every group has acknowledged is removed, so a stream holds what is not yet handled; a group that nobody reads any more keeps
 *   everything: remove it with `XGROUP DESTROY`
 * - of a consumer that died others take over what it was given after {@link ConsumerTimes.idleMs}; one that is slow says so meanwhile
 * - an ordered stream has one consumer at a time, under a lease of {@link ConsumerTimes.leaseMs}; nobody else can read it, but a process
 *   that was paused for longer may still be handling what its successor handles again
 *
 * @throws TypeError when the URL is malformed
 */
export function createRedisStreams({ url, ...times }: BrokerOptions): Broker {
  const { server, durability } = readUrl(url);
  const publisher = createRedisConnection({ url: server, name: 'settle-publish' });
  const control = createRedisConnection({ url: server, name: 'settle-control' });
  const publish = createPublisher(publisher, durability);
  const stops = new Set<() => Promise<void>>();
  let closing: Promise<void> | undefined;

  const close = async (): Promise<void> => {
    await Promise.all([publisher.close(), ...[...stops].map((stop) => stop())]);
    await control.close();
  };
  return {
    name: 'redis',
    maxBytes: MAX_ENTRY_BYTES,
    publish,
    declare: async ({ name }) => {
      try {
        await makeStream(control.sendCommand, name);
      } catch (cause) {
        const kind = cause instanceof BrokerError ? cause.kind : 'unavailable';
        throw new BrokerError(kind, `stream '${name}' could not be made: ${(cause as Error).message}`, { cause });
      }
    },
    subscribe: (subscription) => {
      if (closing) throw new BrokerError('unavailable', `the broker is closed; '${subscription.from}' is not consumed`);
      const reader = createRedisConnection({ url: server, name: 'settle-read' });
      const consumption = consumeStream({ subscription, reader, control, times });
      const stop = (): Promise<void> => consumption.stop().finally(() => stops.delete(stop));
      stops.add(stop);
      return { ready: consumption.ready, stop };
    },
    close: () => (closing ??= close()),
  };
}

function readUrl(text: string): { readonly server: string; readonly durability: Durability } {
  const malformed =
    'the URL of Redis is malformed; write redis://user:password@host:6379/0, then ?replicas=1, waitaof=1 or fsync=any';
  if (!URL.canParse(text)) throw new TypeError(malformed);
  const url = new URL(text);
  const { replicas = '0', waitaof = '0', fsync = 'always', ...others } = Object.fromEntries(url.searchParams);
  const isKnown = /^\d$/.test(replicas) && /^[01]$/.test(waitaof) && /^(any|always)$/.test(fsync);
  if (!isKnown || Object.keys(others).length > 0) throw new TypeError(malformed);
  url.search = '';
  const durability = { isLossAllowed: fsync === 'any', replicas: Number(replicas), waitsForDisk: waitaof === '1' };
  return { server: url.href, durability };
}
