import { Gauge, type Registry } from 'prom-client';
import type { Ledger } from './ledger.js';

/** How old the count may be: scrapers may be many. */
const SAMPLE_MS = 5_000;
/** Beyond this a count says `very many`, and costs no more. */
const AT_MOST = 100_000;

/** Counts what is open in the outbox; `overdue` and `dead` are the ones to raise the alarm on. */
export function addOutboxGauge(registry: Registry, ledger: Pick<Ledger, 'countOutbox'>): void {
  let takenAtMs = -Infinity;
  new Gauge({
    name: 'settle_outbox_messages',
    help: `Outbox messages that are pending, overdue (due for 30 s: no relay keeps up, or their participant does not answer), or dead; counted up to ${AT_MOST}, absent while the ledger cannot be reached.`,
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      if (Date.now() - takenAtMs < SAMPLE_MS) return;
      // a scrape must not fail with the ledger: the other metrics are needed most then
      const counts = await ledger.countOutbox(AT_MOST).catch(() => undefined);
      this.reset();
      if (!counts) return;
      takenAtMs = Date.now();
      for (const state of ['pending', 'overdue', 'dead'] as const) this.set({ state }, counts[state]);
    },
  });
}
