import { setTimeout as pause } from 'node:timers/promises';
import { ApplicationFailure, Context, log } from '@temporalio/activity';
import type pg from 'pg';
import { addScanFindings, type ScanFindings } from '../src/db/scan-counts.js';

/** Looks once at one kind of thing that may be due or stuck, and helps it. */
export type Look = (signal: AbortSignal) => Promise<ScanFindings>;

/** What was found, by kind. */
export type Findings = Readonly<Record<string, ScanFindings>>;

/** The ledger scan (定时扫描). */
export interface ScanActivities {
  /** Scans, a round a second, for so long; returns what it found, by kind. */
  scanLedger(args: { readonly forMs: number }): Promise<Findings>;
}

/** What the scan is made of. */
export interface ScanDependencies {
  readonly pool: pg.Pool;
  /** By kind, in order: what comes first may be what the next needs. */
  readonly looks: Readonly<Record<string, Look>>;
  /** Aborted when the worker stops: another one takes over at once. */
  readonly stopping: AbortSignal;
}

const ROUND_MS = 1_000;
const BEAT_MS = 500;
/** Rounds that found nothing are counted as seldom as this, so that an idle ledger is not written to each second. */
const COUNT_IDLE_MS = 10_000;
const NOTHING: ScanFindings = { due: 0, started: 0, failed: 0 };

/** Makes the activity; the worker registers it. */
export function createScanActivities(dependencies: ScanDependencies): ScanActivities {
  return {
    scanLedger: async ({ forMs }) => {
      const context = Context.current();
      const signal = AbortSignal.any([dependencies.stopping, context.cancellationSignal]);
      let totals: Findings = {};
      // beside the rounds: one in which much is due takes longer than a worker that died may go unmissed
      const beat = setInterval(() => context.heartbeat(totals), BEAT_MS);
      try {
        for await (const found of rounds(dependencies, Date.now() + forMs, signal)) totals = sum(totals, found);
        return totals;
      } finally {
        clearInterval(beat);
      }
    },
  };
}

/** Round after round until then, each counted. Throws when the scan is to stop: the next attempt is another worker's. */
async function* rounds(
  { pool, looks }: ScanDependencies,
  untilMs: number,
  signal: AbortSignal,
): AsyncGenerator<Findings> {
  let countedAt = 0;
  while (Date.now() < untilMs) {
    const found = await scanOnce(looks, signal);
    yield found;
    const isIdle = Object.values(found).every(({ due, failed }) => due + failed === 0);
    if (!isIdle || Date.now() - countedAt > COUNT_IDLE_MS) {
      countedAt = Date.now();
      await addScanFindings(pool, found).catch((error: unknown) => {
        log.warn('scan not counted', { error });
      });
    }
    await pause<void>(ROUND_MS, undefined, { signal }).catch(() => undefined);
    if (signal.aborted) throw ApplicationFailure.retryable('the worker stops', 'WorkerStopping');
  }
}

/** One round over every kind; a kind that fails, e.g. while the database is away, is reported and does not keep the others. */
async function scanOnce(looks: ScanDependencies['looks'], signal: AbortSignal): Promise<Findings> {
  const found: Record<string, ScanFindings> = {};
  for (const [kind, look] of Object.entries(looks)) {
    found[kind] = await look(signal).catch((error: unknown) => {
      log.warn('ledger scan failed; trying again', { kind, error });
      return { ...NOTHING, failed: 1 };
    });
    const { due, started, failed } = found[kind];
    if (started + failed > 0) log.info('ledger scan', { kind, due, started, failed });
  }
  return found;
}

function sum(totals: Findings, found: Findings): Findings {
  const entries = Object.entries(found).map(([kind, more]) => {
    const { due, started, failed } = totals[kind] ?? NOTHING;
    return [kind, { due: due + more.due, started: started + more.started, failed: failed + more.failed }] as const;
  });
  return Object.fromEntries(entries);
}
