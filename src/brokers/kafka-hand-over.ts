import type { IncomingMessage, Subscription } from './broker.js';

/** A message that waits to be handled. */
export interface Entry {
  /** Messages of one lane are handled one after the other; undefined: beside all others. */
  readonly lane?: string;
  readonly read: (isRedelivered: boolean) => IncomingMessage;
  /** Called once it has been handled. */
  readonly finish: () => void;
}

export interface HandOverOptions {
  readonly handle: Subscription['handle'];
  readonly prefetch: number;
  /** Called whenever there is room for more. */
  readonly onRoom: () => void;
}

interface Waiting extends Entry {
  attempts: number;
}

const RETRY_MS = { first: 100, most: 10_000 };

/** Gives messages to `handle`: at most `prefetch` at a time; as many may wait for another try before nothing new begins. */
export class HandOver {
  readonly #options: HandOverOptions;
  /** Lane → what waits for the one that is under way. */
  readonly #lanes = new Map<string, Waiting[]>();
  readonly #retries = new Map<Waiting, NodeJS.Timeout>();
  readonly #whenIdle: (() => void)[] = [];
  #ready: Waiting[] = [];
  #again: Waiting[] = [];
  #inHand = 0;
  #isSuspended = false;
  /** What was begun before everything was let go must not touch the lanes of today. */
  #era = 0;

  constructor(options: HandOverOptions) {
    this.#options = options;
  }

  /** Could begin, or wait for another try; without those that wait for another one of their lane. */
  get waitingCount(): number {
    return this.#ready.length + this.#again.length + this.#retries.size;
  }

  /** Takes them in the order in which they are to begin. */
  add(entries: readonly Entry[]): void {
    for (const entry of entries) this.#queue({ ...entry, attempts: 0 });
    this.#begin();
  }

  /** Begins nothing while it is on. */
  suspend(isSuspended: boolean): void {
    this.#isSuspended = isSuspended;
    this.#begin();
  }

  /** Lets go of everything that is not being handled. */
  clear(): void {
    this.#era++;
    for (const timer of this.#retries.values()) clearTimeout(timer);
    this.#retries.clear();
    this.#lanes.clear();
    this.#ready = [];
    this.#again = [];
  }

  /** Resolves once nothing is being handled. */
  async idle(): Promise<void> {
    if (this.#inHand > 0) await new Promise<void>((resolve) => this.#whenIdle.push(resolve));
  }

  #queue(entry: Waiting): void {
    const behind = entry.lane === undefined ? undefined : this.#lanes.get(entry.lane);
    if (behind !== undefined) {
      behind.push(entry);
      return;
    }
    if (entry.lane !== undefined) this.#lanes.set(entry.lane, []);
    this.#ready.push(entry);
  }

  #begin(): void {
    const { prefetch } = this.#options;
    while (!this.#isSuspended && this.#inHand < prefetch) {
      const entry = this.#again.shift() ?? (this.#retries.size < prefetch ? this.#ready.shift() : undefined);
      if (entry === undefined) return;
      void this.#run(entry);
    }
  }

  async #run(entry: Waiting): Promise<void> {
    const era = this.#era;
    this.#inHand++;
    try {
      await this.#options.handle(entry.read(entry.attempts > 0));
      entry.finish();
      if (era === this.#era) this.#leave(entry.lane);
    } catch {
      // whoever handles it has told why; here it only comes again
      if (era === this.#era) this.#retry(entry);
    }
    this.#inHand--;
    this.#begin();
    this.#options.onRoom();
    if (this.#inHand > 0) return;
    for (const resolve of this.#whenIdle.splice(0)) resolve();
  }

  #leave(lane: string | undefined): void {
    if (lane === undefined) return;
    const next = this.#lanes.get(lane)?.shift();
    if (next === undefined) this.#lanes.delete(lane);
    else this.#ready.push(next);
  }

  #retry(entry: Waiting): void {
    const ms = Math.min(RETRY_MS.most, RETRY_MS.first * 2 ** entry.attempts);
    entry.attempts++;
    const timer = setTimeout(() => {
      this.#retries.delete(entry);
      this.#again.push(entry);
      this.#begin();
    }, ms);
    this.#retries.set(entry, timer);
  }
}
