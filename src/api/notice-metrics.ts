import { Gauge, type Registry } from 'prom-client';
import type { Ledger } from './ledger.js';

/** How old the counts may be: scrapers may be many. */
const SAMPLE_MS = 5_000;

/** Counts the sagas that are stuck, and what the webhook has not been told. */
export function addNoticeGauges(registry: Registry, ledger: Pick<Ledger, 'countStuck' | 'countNotices'>): void {
  const registers = [registry];
  const isDue = (): (() => boolean) => {
    let takenAtMs = -Infinity;
    return () => {
      if (Date.now() - takenAtMs < SAMPLE_MS) return false;
      takenAtMs = Date.now();
      return true;
    };
  };
  const [stuckIsDue, noticesAreDue] = [isDue(), isDue()];
  new Gauge({
    name: 'settle_sagas_stuck',
    help: 'Open sagas that need a look, by type and cause: parked, not-started, overdue.',
    labelNames: ['type', 'cause'],
    registers,
    async collect() {
      if (!stuckIsDue()) return;
      // a scrape must not fail with the ledger: the other metrics are needed most then
      const counts = await ledger.countStuck().catch(() => undefined);
      this.reset();
      for (const { type, cause, count } of counts ?? []) this.set({ type, cause }, count);
    },
  });
  new Gauge({
    name: 'settle_notices_open',
    help: 'Notices that the webhook has not been told: pending, or given up after three days.',
    labelNames: ['state'],
    registers,
    async collect() {
      if (!noticesAreDue()) return;
      const count = await ledger.countNotices().catch(() => undefined);
      this.reset();
      if (!count) return;
      this.set({ state: 'pending' }, count.pending);
      this.set({ state: 'given-up' }, count.givenUp);
    },
  });
}
