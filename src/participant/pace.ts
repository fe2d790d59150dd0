import { setTimeout as delay } from 'node:timers/promises';

/** How long to wait between attempts. */
export interface Backoff {
  /** Before the second attempt, in ms; doubled each time. @default 100 */
  readonly firstMs?: number;
  /** At the most, in ms. @default 5000 */
  readonly maxMs?: number;
}

/** Thrown to whoever waits when the consumer stops: the message is given back. */
export class StoppingError extends Error {
  override readonly name = 'StoppingError';
}

/** With jitter: between half of it and all of it, so that those who failed together do not come back together. */
export function backoffMs(failures: number, { firstMs = 100, maxMs = 5_000 }: Backoff = {}): number {
  return Math.min(maxMs, firstMs * 2 ** Math.min(failures - 1, 30)) * (0.5 + Math.random() / 2);
}

/** @throws StoppingError when the signal comes first */
export async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await delay(ms, undefined, { signal });
  } catch (cause) {
    throw new StoppingError('the consumer is stopping', { cause });
  }
}

/** Lets a number of pieces of work run at once; the others wait in the order in which they came. */
export interface Slots {
  run<T>(work: () => Promise<T>): Promise<T>;
}

export function createSlots(count: number): Slots {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async run(work) {
      if (free > 0) free -= 1;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        // handed over, not freed: a newcomer must not be quicker
        if (next) next();
        else free += 1;
      }
    },
  };
}

/** Runs the work of one key one after the other, in the order in which it came; that of different keys at the same time. */
export interface Lanes {
  run<T>(key: string | undefined, work: () => Promise<T>): Promise<T>;
}

export function createLanes(): Lanes {
  const last = new Map<string, Promise<unknown>>();
  return {
    async run(key, work) {
      if (key === undefined) return work();
      const mine = (last.get(key) ?? Promise.resolve()).then(work, work);
      last.set(key, mine);
      try {
        return await mine;
      } finally {
        if (last.get(key) === mine) last.delete(key);
      }
    },
  };
}
