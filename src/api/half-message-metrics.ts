import { Gauge, type Registry } from 'prom-client';
import { OPEN_HALF_MESSAGE_STATES } from '../saga/half-message.js';
import type { Ledger } from './ledger.js';

/** How old the count may be: scrapers may be many. */
const SAMPLE_MS = 5_000;

/** Counts open half messages by state; `parked` is the one to raise the alarm on. */
export function addHalfMessageGauge(registry: Registry, ledger: Pick<Ledger, 'countOpenHalfMessages'>): void {
  let takenAtMs = -Infinity;
  new Gauge({
    name: 'settle_half_messages_open',
    help: 'Half messages neither delivered nor rolled back, by state; absent while the ledger cannot be reached.',
    labelNames: ['state'],
    registers: [registry],
    async collect() {
      if (Date.now() - takenAtMs < SAMPLE_MS) return;
      // a scrape must not fail with the ledger: the other metrics are needed most then
      const counts = await ledger.countOpenHalfMessages().catch(() => undefined);
      this.reset();
      if (!counts) return;
      takenAtMs = Date.now();
      for (const state of OPEN_HALF_MESSAGE_STATES) this.set({ state }, counts.get(state) ?? 0);
    },
  });
}
