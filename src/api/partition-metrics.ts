import { Gauge, type Registry } from 'prom-client';
import type { Ledger } from './ledger.js';

/** Counts the rows that lie in no week's partition; above 0 for more than an hour, no worker keeps the ledger. */
export function addPartitionGauge(registry: Registry, ledger: Pick<Ledger, 'countStrayed'>): void {
  new Gauge({
    name: 'settle_ledger_default_rows',
    help: 'Rows in the default partitions of the ledger; absent while the ledger cannot be reached.',
    registers: [registry],
    async collect() {
      // a scrape must not fail with the ledger: the other metrics are needed most then
      const count = await ledger.countStrayed().catch(() => undefined);
      this.remove();
      if (count !== undefined) this.set(count);
    },
  });
}
