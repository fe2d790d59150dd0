import type { RedisConnection } from './redis-connection.js';
import { decodeEntry, type Entry, type RawEntry } from './redis-entry.js';
import { runScript, type RedisScript } from './redis-script.js';
import * as scripts from './redis-stream-scripts.js';

/** One consumer in a group of a stream: every command that it needs, none of its decisions. */
export interface GroupConsumer {
  /** Makes stream and group where they are missing. */
  join(): Promise<void>;
  /** New entries, waiting up to `blockMs` for the first. */
  read(count: number, blockMs: number): Promise<Entry[]>;
  /** What others have left for `idleMs`, or with `isOwn` what this consumer was given and does not hold. */
  claim(query: { count: number; held: readonly string[]; idleMs: number; isOwn?: boolean }): Promise<Entry[]>;
  /** New entries, or pending ones, under the lease; undefined without it. */
  takeInOrder(query: { count: number; held: readonly string[]; isPending: boolean }): Promise<Taken | undefined>;
  /** Resolves when there is something behind a place, or after `blockMs`. */
  untilBehind(place: string, blockMs: number): Promise<void>;
  /** Ends what `read` or `untilBehind` wait for. */
  wake(): Promise<void>;
  acknowledge(entryIds: readonly string[]): Promise<unknown>;
  giveBack(entryIds: readonly string[], isBegun: boolean): Promise<unknown>;
  keep(entryIds: readonly string[]): Promise<unknown>;
  tidy(goneMs: number): Promise<unknown>;
  leave(): Promise<unknown>;
  takeLease(ms: number): Promise<boolean>;
  extendLease(ms: number): Promise<boolean>;
}

/** What was taken, and where there was nothing: the place up to which the group has read. */
export interface Taken {
  readonly entries: readonly Entry[];
  readonly place: string;
}

export interface GroupConsumerOptions {
  readonly stream: string;
  readonly group: string;
  readonly consumer: string;
  /** Its own: what waits for entries keeps everything behind it waiting. */
  readonly reader: RedisConnection;
  /** May be shared. */
  readonly control: RedisConnection;
}

type Send = (args: readonly string[]) => Promise<unknown>;

/** Speaks for one consumer; see {@link GroupConsumer}. */
export function createGroupConsumer(options: GroupConsumerOptions): GroupConsumer {
  const { stream, group, consumer, reader, control } = options;
  const lease = `{${stream}}:${group}:lease`;
  let readerId: { readonly epoch: number; readonly id: string } | undefined;

  const decode = (raw: readonly RawEntry[]): Entry[] => raw.map((each) => decodeEntry(each, stream));
  const bytes: Send = (args) => reader.send(args, { asBuffers: true });
  const script = (send: Send, which: RedisScript, ...args: readonly (string | number)[]): Promise<unknown> =>
    runScript(send, which, { keys: [stream], args: [group, consumer, ...args.map(String)] });
  const onLease = (which: RedisScript, ms: number): Promise<unknown> =>
    runScript(control.sendCommand, which, { keys: [lease], args: [group, consumer, String(ms)] });
  const blocking = async (args: readonly string[], blockMs: number): Promise<unknown> => {
    if (readerId?.epoch !== reader.epoch) {
      const id = String(await reader.send(['CLIENT', 'ID']));
      readerId = { epoch: reader.epoch, id };
    }
    return reader.send(args, { asBuffers: true, timeoutMs: blockMs + ANSWER_MS });
  };

  return {
    join: () => makeGroup(reader.sendCommand, stream, group),
    read: async (count, blockMs) => {
      const words = ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', stream, '>'];
      const reply = (await blocking(words.map(String), blockMs)) as [[Buffer, [Buffer, Buffer[]][]]] | null;
      return decode((reply?.[0][1] ?? []).map(([id, fields]) => [id, 0, fields]));
    },
    claim: async ({ count, held, idleMs, isOwn = false }) => {
      const query = isOwn ? [0, consumer] : [idleMs, ''];
      return decode((await script(bytes, scripts.CLAIM_PENDING, ...query, count, ...held)) as RawEntry[]);
    },
    takeInOrder: async ({ count, held, isPending }) => {
      const args = [group, consumer, String(count), isPending ? '1' : '0', ...held];
      const reply = await runScript(bytes, scripts.TAKE_IN_ORDER, { keys: [stream, lease], args });
      if (reply === null) return undefined;
      const [raw, place] = reply as [RawEntry[], Buffer];
      return { entries: decode(raw), place: place.toString() };
    },
    untilBehind: async (place, blockMs) => {
      await blocking(['XREAD', 'COUNT', '1', 'BLOCK', String(blockMs), 'STREAMS', stream, place], blockMs);
    },
    wake: async () => {
      if (readerId?.epoch === reader.epoch) await control.sendCommand(['CLIENT', 'UNBLOCK', readerId.id]);
    },
    acknowledge: (entryIds) => script(control.sendCommand, scripts.ACKNOWLEDGE, ...entryIds),
    giveBack: (entryIds, isBegun) =>
      script(control.sendCommand, scripts.RETURN_ENTRIES, isBegun ? '1' : '0', ...entryIds),
    keep: (entryIds) => script(control.sendCommand, scripts.KEEP_ENTRIES, ...entryIds),
    tidy: (goneMs) => script(control.sendCommand, scripts.TIDY_STREAM, goneMs),
    leave: () => script(control.sendCommand, scripts.LEAVE_GROUP),
    takeLease: async (ms) => (await onLease(scripts.TAKE_LEASE, ms)) === 1,
    extendLease: async (ms) => (await onLease(scripts.EXTEND_LEASE, ms)) === 1,
  };
}

/** How long an answer may take beyond what was asked to wait. */
const ANSWER_MS = 5_000;

async function makeGroup(send: Send, stream: string, group: string): Promise<void> {
  try {
    // from the very first: what was published before its consumers came is theirs
    await send(['XGROUP', 'CREATE', stream, group, '0', 'MKSTREAM']);
  } catch (cause) {
    if (!(cause as Error).message.startsWith('BUSYGROUP')) throw cause;
  }
}

/** Makes a stream where it is missing: Redis does so only together with a group. */
export async function makeStream(send: Send, stream: string): Promise<void> {
  if ((await send(['TYPE', stream])) === 'stream') return;
  const passing = 'settle-declare';
  await makeGroup(send, stream, passing);
  await send(['XGROUP', 'DESTROY', stream, passing]);
}
