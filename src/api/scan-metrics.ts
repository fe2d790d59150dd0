import { Gauge, type Registry } from 'prom-client';
import type { Ledger } from './ledger.js';

/** How old the counts may be: scrapers may be many. */
const SAMPLE_MS = 5_000;

/** What the ledger scan has found, by all workers together: the ledger holds the counts, as a worker may not be asked. */
export function addScanMetrics(registry: Registry, ledger: Pick<Ledger, 'listScanCounts'>): void {
  const sample = createSampler(ledger);
  const registers = [registry];
  new Gauge({
    name: 'settle_scan_found_total',
    help: 'What the ledger scan looked at as it was due (due), started as it had no workflow (started), could not help (failed).',
    labelNames: ['kind', 'result'],
    registers,
    async collect() {
      for (const { kind, due, started, failed } of await sample()) {
        for (const [result, count] of Object.entries({ due, started, failed })) this.set({ kind, result }, count);
      }
    },
  });
  new Gauge({
    name: 'settle_scan_round_timestamp_seconds',
    help: 'When the last counted round of the ledger scan ended; raise the alarm when it is minutes old.',
    labelNames: ['kind'],
    registers,
    async collect() {
      for (const { kind, roundAt } of await sample()) this.set({ kind }, roundAt.getTime() / 1_000);
    },
  });
}

/** One reading for all the metrics of a scrape. A scrape must not fail with the ledger: the other metrics are needed most then. */
function createSampler(ledger: Pick<Ledger, 'listScanCounts'>): Ledger['listScanCounts'] {
  let takenAtMs = -Infinity;
  let sample: ReturnType<Ledger['listScanCounts']> = Promise.resolve([]);
  return () => {
    if (Date.now() - takenAtMs < SAMPLE_MS) return sample;
    takenAtMs = Date.now();
    sample = ledger.listScanCounts().catch(() => []);
    return sample;
  };
}
