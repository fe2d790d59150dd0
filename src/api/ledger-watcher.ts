import type { Logger } from 'pino';
import type { EffectEnd, SagaEvent } from '../db/saga-queries.js';
import type { Ledger } from './ledger.js';

/** How long to wait, and until when there is somebody who waits. */
export interface WaitOptions {
  readonly withinMs: number;
  /** Aborted when the client has gone. */
  readonly signal?: AbortSignal;
}

/** Waits for news in the ledger on behalf of every open request and stream. */
export interface LedgerWatcher {
  /** Waits until a local effect, or its saga, has ended; undefined when the time is over. */
  untilEffectEnds(effect: { sagaId: string; effectKey: string }, options: WaitOptions): Promise<EffectEnd | undefined>;
  /** Waits for changes of a saga's state after the one that is known; empty when the time is over. */
  nextEvents(known: { sagaId: string; after: number }, options: WaitOptions): Promise<readonly SagaEvent[]>;
  /** Whether it can take another wait. */
  hasRoom(): boolean;
  isStopped(): boolean;
  /** Ends every wait at once, as if its time were over; later ones end at once too. */
  stop(): Promise<void>;
}

export interface WatcherOptions {
  readonly ledger: Pick<Ledger, 'findEffectEnds' | 'findEventsAfter'>;
  readonly logger: Pick<Logger, 'warn'>;
  /** Waits at the same time. @default 2000 */
  readonly limit?: number;
}

/** A wait is looked at often while it is young (a local transaction takes some 10 ms) and rarely later on. */
const SHORTEST_LOOK_MS = 10;
const LONGEST_LOOK_MS = 500;

interface Waiter<Asked, News> {
  readonly asked: Asked;
  readonly sinceMs: number;
  readonly resolve: (news: News | undefined) => void;
}

/**
 * One loop for the whole process: each look is one query for all waits of a kind, on one pooled connection for its duration.
 * NOTIFY would cost each writer a lock of the whole database at commit, and each process a connection of its own.
 * ```
 * wait ─▶ look ─▶ news? resolve : sleep(a quarter of the youngest wait's age, 10–500 ms) ─▶ look …
 * ```
 */
export function createLedgerWatcher({ ledger, logger, limit = 2_000 }: WatcherOptions): LedgerWatcher {
  const effects = new Set<Waiter<{ sagaId: string; effectKey: string }, EffectEnd>>();
  const streams = new Set<Waiter<{ sagaId: string; after: number }, readonly SagaEvent[]>>();
  const all = (): Waiter<unknown, never>[] => [...effects, ...streams];

  const look = async (): Promise<void> => {
    const [ends, events] = await Promise.all([
      effects.size > 0 ? ledger.findEffectEnds([...effects].map(({ asked }) => asked)) : [],
      streams.size > 0 ? ledger.findEventsAfter([...streams].map(({ asked }) => asked)) : [],
    ]);
    const endOf = new Map(ends.map((end) => [end.effectKey, end]));
    for (const { asked, resolve } of effects) {
      const end = endOf.get(asked.effectKey);
      if (end) resolve(end);
    }
    const eventsOf = bySaga(events);
    for (const { asked, resolve } of streams) {
      const news = eventsOf.get(asked.sagaId)?.filter(({ id }) => id > asked.after) ?? [];
      if (news.length > 0) resolve(news);
    }
  };
  const loop = createLoop({ look, youngest: () => Math.max(...all().map(({ sinceMs }) => sinceMs)), logger });

  const wait = async <Asked, News>(
    waiters: Set<Waiter<Asked, News>>,
    asked: Asked,
    { withinMs, signal }: WaitOptions,
  ): Promise<News | undefined> => {
    if (loop.isStopped() || signal?.aborted) return undefined;
    return new Promise((settle) => {
      const waiter = { asked, sinceMs: Date.now(), resolve: end };
      const timer = setTimeout(end, withinMs);
      const onAbort = (): void => end();
      signal?.addEventListener('abort', onAbort);
      function end(news?: News): void {
        clearTimeout(timer);
        signal?.removeEventListener('abort', onAbort);
        waiters.delete(waiter);
        if (effects.size + streams.size === 0) loop.pause();
        settle(news);
      }
      waiters.add(waiter);
      loop.wake();
    });
  };

  return {
    untilEffectEnds: (effect, options) => wait(effects, effect, options),
    nextEvents: async (known, options) => (await wait(streams, known, options)) ?? [],
    hasRoom: () => effects.size + streams.size < limit,
    isStopped: loop.isStopped,
    stop: () => {
      const stopped = loop.stop();
      for (const { resolve } of all()) (resolve as () => void)();
      return stopped;
    },
  };
}

function bySaga(events: readonly SagaEvent[]): ReadonlyMap<string, readonly SagaEvent[]> {
  const groups = new Map<string, SagaEvent[]>();
  for (const event of events) {
    const group = groups.get(event.sagaId);
    if (group) group.push(event);
    else groups.set(event.sagaId, [event]);
  }
  return groups;
}

interface LoopOptions {
  readonly look: () => Promise<void>;
  /** When the youngest wait began; -Infinity when there is none. */
  readonly youngest: () => number;
  readonly logger: Pick<Logger, 'warn'>;
}

interface Loop {
  /** Somebody new waits: the next look is soon. */
  wake(): void;
  /** Nobody waits any more. */
  pause(): void;
  isStopped(): boolean;
  /** Resolves when the look under way is over. */
  stop(): Promise<void>;
}

function createLoop({ look, youngest, logger }: LoopOptions): Loop {
  let timer: NodeJS.Timeout | undefined;
  let underWay: Promise<void> | undefined;
  let stopped = false;
  let lastLookMs = 0;
  let nextAtMs = Infinity;

  const pause = (): void => {
    clearTimeout(timer);
    nextAtMs = Infinity;
  };
  const schedule = (delayMs: number): void => {
    const atMs = Date.now() + delayMs;
    // only ever sooner: a stream of newcomers must not put the look off for ever
    if (stopped || underWay || atMs >= nextAtMs) return;
    pause();
    nextAtMs = atMs;
    timer = setTimeout(() => void (underWay = run()), delayMs);
  };
  const run = async (): Promise<void> => {
    const beganMs = Date.now();
    nextAtMs = Infinity;
    let isHealthy = true;
    await look().catch((error: unknown) => {
      isHealthy = false;
      logger.warn({ err: error }, 'the ledger did not answer the watcher; it looks again');
    });
    underWay = undefined;
    lastLookMs = Date.now() - beganMs;
    if (youngest() !== -Infinity) schedule(isHealthy ? pauseMs() : LONGEST_LOOK_MS);
  };
  /** At least as long as a look takes: under load the loop uses half a connection at the most. */
  const pauseMs = (): number => {
    const quarterMs = (Date.now() - youngest()) / 4;
    return Math.min(LONGEST_LOOK_MS, Math.max(SHORTEST_LOOK_MS, lastLookMs, quarterMs));
  };
  return {
    wake: () => schedule(SHORTEST_LOOK_MS),
    pause,
    isStopped: () => stopped,
    stop: async () => {
      stopped = true;
      pause();
      await underWay;
    },
  };
}
