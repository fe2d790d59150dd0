/** Looks when it is woken, and every so often by itself; never twice at the same time. */
export interface Loop {
  /** Has it look again, after `inMs`. @default at once */
  wake(inMs?: number): void;
  /** Waits for the look under way; there is no other. */
  stop(): Promise<void>;
}

export interface LoopOptions {
  readonly look: () => Promise<void>;
  /** Between two looks when nobody wakes it, in ms. */
  readonly everyMs: number;
  readonly onError: (error: unknown) => void;
}

/** Under load this lets some messages gather, so that one look claims many; an idle relay looks at once. */
const SHORTEST_PAUSE_MS = 5;

/** Starts looking. */
export function createLoop({ look, everyMs, onError }: LoopOptions): Loop {
  let timer: NodeJS.Timeout | undefined;
  let nextAtMs = Infinity;
  let underWay: Promise<void> | undefined;
  let lastMs = 0;
  let isStopped = false;
  const schedule = (inMs: number): void => {
    const atMs = Date.now() + inMs;
    if (isStopped || atMs >= nextAtMs) return;
    nextAtMs = atMs;
    clearTimeout(timer);
    timer = setTimeout(run, Math.max(0, inMs));
  };
  const run = (): void => {
    // whoever wakes it meanwhile has it look once more afterwards
    if (underWay) return;
    nextAtMs = Infinity;
    underWay = look()
      .catch(onError)
      .finally(() => {
        underWay = undefined;
        lastMs = Date.now();
        const asked = nextAtMs;
        nextAtMs = Infinity;
        schedule(Math.min(everyMs, Math.max(SHORTEST_PAUSE_MS, asked - lastMs)));
      });
  };
  schedule(0);
  return {
    wake: (inMs = 0) => {
      schedule(Math.max(inMs, lastMs + SHORTEST_PAUSE_MS - Date.now()));
    },
    stop: async () => {
      isStopped = true;
      clearTimeout(timer);
      await underWay;
    },
  };
}
