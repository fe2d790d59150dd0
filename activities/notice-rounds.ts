import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Webhook } from '../src/transports/webhook.js';
import { reportStuckSagas, tellWebhook } from './notices.js';

/** What the rounds work with. */
export interface NoticeRounds {
  readonly pool: pg.Pool;
  /** Unset: nobody is told; the notices stand in the ledger. */
  readonly webhook?: Webhook;
  readonly logger: Pick<Logger, 'warn' | 'error'>;
}

const TELL_EVERY_MS = 1_000;
const LOOK_EVERY_MS = 30_000;

/** Reports stuck sagas and tells the webhook, beside Temporal: that it is away must be told too. */
export function startNoticeRounds({ pool, webhook, logger }: NoticeRounds): { stop(): Promise<void> } {
  const stopping = new AbortController();
  const repeat = async (everyMs: number, round: () => Promise<void>): Promise<void> => {
    for (;;) {
      // rejects when they are stopped
      await pause(everyMs, undefined, { signal: stopping.signal });
      await round().catch((err: unknown) => logger.warn({ err }, 'the ledger did not answer; notices wait'));
    }
  };
  const look = async (): Promise<void> => {
    const stuck = await reportStuckSagas(pool);
    if (stuck > 0) logger.error({ stuck }, 'sagas are stuck: they are under way for longer than their plans can take');
  };
  const tell = async (): Promise<void> => {
    while (webhook && !stopping.signal.aborted && (await tellWebhook(pool, webhook)));
  };
  const ended = [repeat(LOOK_EVERY_MS, look), repeat(TELL_EVERY_MS, tell)].map((rounds) =>
    rounds.catch(() => undefined),
  );
  return {
    stop: async () => {
      stopping.abort();
      await Promise.all(ended);
      await webhook?.close();
    },
  };
}
