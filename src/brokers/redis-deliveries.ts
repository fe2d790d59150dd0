import { setTimeout as delay } from 'node:timers/promises';
import type { IncomingMessage } from './broker.js';
import type { Entry } from './redis-entry.js';

/** The entries that one consumer has been given and not acknowledged yet. */
export interface Deliveries {
  /** How many more it takes. */
  room(): number;
  /** Resolves once there is room for one, or it has been halted. */
  untilRoom(): Promise<void>;
  /** The places of all that it holds. */
  held(): string[];
  /** Begins to handle them: at once, or where order is kept, each once its key's earlier ones have succeeded. */
  take(entries: readonly Entry[]): void;
  /** Begins no more, and forgets what is not being handled at this moment; returns the places of what was never begun. */
  halt(): string[];
  /** After a halt: begins again what is taken from now on. */
  resume(): void;
  /** Resolves once nothing is held. */
  untilEmpty(): Promise<void>;
}

export interface DeliveryOptions {
  readonly prefetch: number;
  /** Whether the entries of one key are handled one after the other, and tried again in their place. */
  readonly isOrdered: boolean;
  readonly handle: (message: IncomingMessage) => Promise<void>;
  /** Resolves once the acknowledgement stands, rejects when it cannot be had: then the entry comes again. */
  readonly acknowledge: (entryId: string) => Promise<void>;
  /** Gives an entry back whose handling has failed; never rejects. */
  readonly giveBack: (entryId: string) => Promise<void>;
  /** Whether an ordered entry may begin now: whether the lease is still there. */
  readonly mayBegin: () => boolean;
}

/** The book of what is held; see {@link Deliveries}. */
export function createDeliveries(options: DeliveryOptions): Deliveries {
  const held = new Set<string>();
  const waiters = new Set<() => void>();
  let isHalted = false;
  const changed = (): void => {
    for (const wake of waiters) wake();
    waiters.clear();
  };
  const until = async (isSo: () => boolean): Promise<void> => {
    while (!isSo()) await new Promise<void>((resolve) => waiters.add(resolve));
  };
  const release = (entryId: string): void => {
    held.delete(entryId);
    changed();
  };
  const queues = createQueues({ ...options, release, isHalted: () => isHalted });
  const handleOnce = async ({ entryId, message }: Entry): Promise<void> => {
    if (await succeeds(options.handle, message)) await acknowledged(options, entryId);
    else await options.giveBack(entryId);
    release(entryId);
  };
  return {
    room: () => options.prefetch - held.size,
    untilRoom: () => until(() => isHalted || held.size < options.prefetch),
    held: () => [...held],
    take: (entries) => {
      for (const entry of entries) {
        held.add(entry.entryId);
        if (options.isOrdered) queues.add(entry);
        else void handleOnce(entry);
      }
    },
    halt: () => {
      isHalted = true;
      const { forgotten, unbegun } = queues.halt();
      for (const entryId of forgotten) held.delete(entryId);
      changed();
      return unbegun;
    },
    resume: () => {
      isHalted = false;
    },
    untilEmpty: () => until(() => held.size === 0),
  };
}

/** An ordered entry that failed is tried again in its place, at growing distances. */
const FIRST_RETRY_MS = 100;
const MAX_RETRY_MS = 5_000;

/** A queue for each key: its first entry is being handled, or waits for its next attempt. */
interface Queues {
  add(entry: Entry): void;
  halt(): { readonly forgotten: readonly string[]; readonly unbegun: string[] };
}

interface QueueOptions extends DeliveryOptions {
  readonly release: (entryId: string) => void;
  readonly isHalted: () => boolean;
}

function createQueues(options: QueueOptions): Queues {
  const queues = new Map<string, Entry[]>();
  const begun = new Set<string>();
  const running = new Set<string>();
  let waiting = new AbortController();

  const attempt = async ({ entryId, message }: Entry): Promise<boolean> => {
    const isRedelivered = message.isRedelivered || begun.has(entryId);
    begun.add(entryId);
    running.add(entryId);
    try {
      return await succeeds(options.handle, { ...message, isRedelivered });
    } finally {
      running.delete(entryId);
    }
  };
  /** Until it succeeds, or has no right to be tried here any more: whoever has, finds it pending. */
  const handleInPlace = async (entry: Entry, isStillFirst: () => boolean): Promise<boolean> => {
    for (let waitMs = FIRST_RETRY_MS; ; waitMs = Math.min(waitMs * 2, MAX_RETRY_MS)) {
      if (!isStillFirst() || options.isHalted() || !options.mayBegin()) return false;
      if (await attempt(entry)) return true;
      await delay(waitMs, undefined, { signal: waiting.signal }).catch(() => undefined);
    }
  };
  const run = async (key: string, queue: Entry[]): Promise<void> => {
    for (let entry = queue[0]; entry !== undefined; entry = queue[0]) {
      const first = entry;
      const isDone = await handleInPlace(first, () => queue[0] === first);
      // acknowledgements stand in the order in which they are asked for: the next need not wait for this one's
      if (isDone) void acknowledged(options, first.entryId).then(() => options.release(first.entryId));
      if (queue[0] !== first) continue;
      queue.shift();
      begun.delete(first.entryId);
      if (!isDone) options.release(first.entryId);
    }
    queues.delete(key);
  };
  return {
    add: (entry) => {
      // without a key there is no order to keep, but it is tried again here all the same
      const key = entry.message.key ?? entry.entryId;
      const queue = queues.get(key);
      if (queue) return void queue.push(entry);
      const fresh = [entry];
      queues.set(key, fresh);
      void run(key, fresh);
    },
    halt: () => {
      waiting.abort();
      waiting = new AbortController();
      const isRunning = (entry: Entry | undefined): boolean => entry !== undefined && running.has(entry.entryId);
      const forgotten = [...queues.values()]
        .flatMap((queue) => queue.splice(isRunning(queue[0]) ? 1 : 0))
        .map(({ entryId }) => entryId);
      const unbegun = forgotten.filter((entryId) => !begun.delete(entryId));
      return { forgotten, unbegun };
    },
  };
}

async function succeeds(handle: DeliveryOptions['handle'], message: IncomingMessage): Promise<boolean> {
  try {
    await handle(message);
    return true;
  } catch {
    // its handler logs why; here it only means that the message comes again
    return false;
  }
}

async function acknowledged({ acknowledge }: DeliveryOptions, entryId: string): Promise<void> {
  // whoever tried has told of it, and the entry comes again
  await acknowledge(entryId).catch(() => undefined);
}
