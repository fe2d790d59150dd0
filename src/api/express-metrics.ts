import { Gauge, type Registry } from 'prom-client';
import type { ApiExpress } from './parts.js';

/** Where the sagas of the express lane went: a share of other endings that grows says that the lane does not pay for their type. */
export function addExpressMetrics(registry: Registry, express: Pick<ApiExpress, 'counts'>): void {
  new Gauge({
    name: 'settle_express_sagas_total',
    help: 'Sagas of the express lane: completed in it, refused at once, handed over to a workflow (why), or not taken in (resting, failed, or full of those that had come so far).',
    labelNames: ['type', 'ending'],
    registers: [registry],
    collect() {
      for (const { type, ending, count } of express.counts()) this.set({ type, ending }, count);
    },
  });
}
