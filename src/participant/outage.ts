import type { Logger } from 'pino';
import { backoffMs, pause } from './pace.js';

/** Whether what a participant works with can be used now: one look for everybody who waits. */
export interface Outage {
  /** Resolves when nothing is known to be away. @throws StoppingError when the consumer stops first */
  isOver(): Promise<void>;
  /**
   * Tells of a failure that says "not now", and resolves when it answers.
   *
   * @returns whether it was away indeed: false when it answered at the first look
   * @throws StoppingError
   */
  report(error: unknown): Promise<boolean>;
}

export interface OutageOptions {
  /** For people, e.g. the consumer's name. */
  readonly of: string;
  /** Resolves when it can be used. */
  readonly probe: () => Promise<unknown>;
  readonly isUnavailable: (error: unknown) => boolean;
  readonly signal: AbortSignal;
  readonly logger?: Pick<Logger, 'warn' | 'info'>;
}

/** Looks with back-off for as long as it is away, so that nobody else has to. */
export function createOutage(options: OutageOptions): Outage {
  let watch: Promise<boolean> | undefined;
  return {
    isOver: async () => void (await watch),
    report: (error) => {
      watch ??= watchFor(options, error).finally(() => (watch = undefined));
      // whoever waits gets it; often nobody does
      watch.catch(() => undefined);
      return watch;
    },
  };
}

async function watchFor({ of, probe, isUnavailable, signal, logger }: OutageOptions, error: unknown): Promise<boolean> {
  let isTold = false;
  for (let looks = 1; ; looks += 1) {
    await pause(backoffMs(looks), signal);
    const failure = await probe().then(
      () => undefined,
      (cause: unknown) => cause,
    );
    if (failure === undefined || !isUnavailable(failure)) {
      if (isTold) logger?.info(`'${of}' reaches its database again`);
      return isTold;
    }
    if (!isTold) logger?.warn({ err: error }, `'${of}' cannot reach its database; it waits and counts no attempt`);
    isTold = true;
  }
}
