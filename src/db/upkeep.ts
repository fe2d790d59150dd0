import { setTimeout as pause } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { PartitionChange } from './partitions.js';

/** Upkeep that runs beside a server. */
export interface UpkeepOptions {
  /** One round; it must be safe to run by many processes at once. */
  readonly round: (signal: AbortSignal) => Promise<readonly PartitionChange[]>;
  readonly logger?: Pick<Logger, 'info' | 'warn'>;
}

const EVERY_MS = 3_600_000;
/** After a round that failed, or that others kept from a lock. */
const AGAIN_MS = 60_000;

/**
 * Runs a round at once and then every hour. One that fails is reported and tried again after a minute.
 * What is kept past its time is reported each time: something in it has not been settled.
 */
export function startUpkeep({ round, logger }: UpkeepOptions): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const rounds = async (): Promise<void> => {
    for (;;) {
      const isDone = await runRound(round, stopping.signal, logger);
      // rejects when it is stopped
      await pause(isDone ? EVERY_MS : AGAIN_MS, undefined, { signal: stopping.signal });
    }
  };
  const ended = rounds().catch(() => undefined);
  return {
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}

async function runRound(
  round: UpkeepOptions['round'],
  signal: AbortSignal,
  logger: UpkeepOptions['logger'],
): Promise<boolean> {
  try {
    const changes = await round(signal);
    const namesOf = (outcome: PartitionChange['outcome']): string[] =>
      changes.filter((change) => change.outcome === outcome).map(({ name }) => name);
    const [created, dropped, held, busy] = (['created', 'dropped', 'held', 'busy'] as const).map(namesOf);
    if (created!.length + dropped!.length > 0) logger?.info({ created, dropped }, 'partitions');
    if (held!.length > 0) logger?.warn({ held }, 'partitions are past their retention and hold something that is open');
    return busy!.length === 0;
  } catch (error) {
    if (!signal.aborted) logger?.warn({ err: error }, 'upkeep of the partitions failed; trying again');
    return false;
  }
}
