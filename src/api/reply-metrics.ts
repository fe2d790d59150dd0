import { Gauge, type Registry } from 'prom-client';
import type { Ledger } from './ledger.js';

/** What has become of answers over brokers, for all workers together: the ledger holds the counts, as a worker may not be asked. */
export function addReplyMetrics(registry: Registry, ledger: Pick<Ledger, 'listReplyCounts'>): void {
  new Gauge({
    name: 'settle_replies_total',
    help: 'Answers over brokers: taken, or without effect as they were duplicate, late, unasked, forged or unreadable; raise the alarm on forged.',
    labelNames: ['transport', 'verdict'],
    registers: [registry],
    async collect() {
      // a scrape must not fail with the ledger: the other metrics are needed most then
      const counts = await ledger.listReplyCounts().catch(() => []);
      for (const { transport, verdict, count } of counts) this.set({ transport, verdict }, count);
    },
  });
}
