import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import { recordOutbox, type OutboxRecord } from '../src/db/outbox.js';
import { cleaned, isStorable } from './storable.js';

/** Records how attempts have ended, many in one transaction: what comes while one is written goes along with the next. */
export interface Recorder {
  /** @param onEnd told whether it has been recorded */
  add(record: OutboxRecord, onEnd?: (isRecorded: boolean) => void): void;
  /** Waits until all is recorded; what cannot be is left: its message is sent again, under the same effect key. */
  stop(): Promise<void>;
}

export interface RecorderOptions {
  readonly pool: pg.Pool;
  readonly logger: { warn(fields: object, message: string): void };
  /** Messages have become due, or will be in so many ms. */
  readonly onWoken: (inMs: number) => void;
}

interface Waiting {
  readonly record: OutboxRecord;
  readonly onEnd?: (isRecorded: boolean) => void;
}

const BATCH = 500;
const RETRY_MS = 250;
/** Between two writes: under load some 50 outcomes gather, and the database is left to the claims; the first goes at once. */
const GATHER_MS = 10;

/** Makes the recorder of one relay. */
export function createRecorder({ pool, logger, onWoken }: RecorderOptions): Recorder {
  const waiting: Waiting[] = [];
  let writing: Promise<void> | undefined;
  let isStopped = false;
  let lastMs = 0;
  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const leftMs = lastMs + GATHER_MS - Date.now();
      if (leftMs > 0 && waiting.length < BATCH && !isStopped) await pause(leftMs);
      const batch = waiting.splice(0, BATCH);
      try {
        if (
          (await recordOutbox(
            pool,
            batch.map(({ record }) => storable(record)),
          )) > 0
        )
          onWoken(0);
        const waits = batch.flatMap(({ record: { move } }) => (move.to === 'relay' ? [move.waitMs] : []));
        if (waits.length > 0) onWoken(Math.min(...waits));
        for (const { onEnd } of batch) onEnd?.(true);
      } catch (err) {
        logger.warn({ err, count: batch.length }, 'outcomes of the outbox are not recorded yet');
        waiting.unshift(...batch);
        if (isStopped) return;
        await pause(RETRY_MS);
      }
      lastMs = Date.now();
    }
  };
  const start = (): void => {
    writing ??= write().finally(() => {
      writing = undefined;
      // added after the last look at what is waiting
      if (waiting.length > 0 && !isStopped) start();
    });
  };
  return {
    add: (record, onEnd) => {
      waiting.push({ record, onEnd });
      start();
    },
    stop: async () => {
      isStopped = true;
      await writing;
      for (const { onEnd } of waiting) onEnd?.(false);
    },
  };
}

/** One answer that PostgreSQL cannot hold must not spoil the others of its batch. */
function storable(record: OutboxRecord): OutboxRecord {
  const { move } = record;
  if (move.to === 'delivered') return { ...record, move: isStorable(move.result) ? move : { ...move, result: null } };
  if (move.to !== 'dead') return { ...record, move: { ...move, error: cleaned(move.error) } };
  const { code, message } = move.reason;
  return { ...record, move: { ...move, reason: { code: cleaned(code), message: cleaned(message) } } };
}
