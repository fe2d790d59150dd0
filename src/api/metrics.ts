import { Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client';
import { SAGA_STATES } from '../saga/state.js';
import { addCircuitMetrics } from './circuit-metrics.js';
import { addExpressMetrics } from './express-metrics.js';
import { addHalfMessageGauge } from './half-message-metrics.js';
import type { Ledger } from './ledger.js';
import { addNoticeGauges } from './notice-metrics.js';
import { addOutboxGauge } from './outbox-metrics.js';
import { addReplyMetrics } from './reply-metrics.js';
import { addScanMetrics } from './scan-metrics.js';
import type { ApiCircuits, ApiExpress } from './parts.js';
import { addPartitionGauge } from './partition-metrics.js';
import type { ProblemName } from './problems.js';

/** How old the count of open sagas may be: scrapers may be many. */
const SAMPLE_MS = 5_000;

/** One answered request. */
export interface AnsweredRequest {
  readonly method: string;
  /** The pattern, never the address: ids would make a series each. */
  readonly route: string;
  readonly status: number;
  readonly seconds: number;
}

/** What the API counts, for Prometheus; no label holds anything that a client sent. */
export interface Metrics {
  countAccepted(sagaType: string): void;
  countReplayed(sagaType: string): void;
  countProblem(problem: ProblemName): void;
  observeRequest(request: AnsweredRequest): void;
  /** The text exposition format and its media type. */
  render(): Promise<{ contentType: string; text: string }>;
}

/** What the metrics ask of the ledger. */
type MetricsLedger = Pick<
  Ledger,
  | 'countOpenByState'
  | 'countOpenHalfMessages'
  | 'countOutbox'
  | 'countStuck'
  | 'countNotices'
  | 'listScanCounts'
  | 'listReplyCounts'
  | 'countStrayed'
>;

/** What this process sends with. */
interface SenderParts {
  readonly express?: Pick<ApiExpress, 'counts'>;
  readonly circuits?: ApiCircuits;
}

/** The metrics of one API, in a registry of their own. */
export function createMetrics(ledger: MetricsLedger, { express, circuits }: SenderParts = {}): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const accepted = new Counter({
    name: 'settle_sagas_accepted_total',
    help: 'Sagas accepted by this process.',
    labelNames: ['type'],
    registers,
  });
  const replayed = new Counter({
    name: 'settle_requests_replayed_total',
    help: 'Requests whose Idempotency-Key had been accepted before.',
    labelNames: ['type'],
    registers,
  });
  const problems = new Counter({
    name: 'settle_problems_total',
    help: 'Requests answered with a problem, by problem type.',
    labelNames: ['type'],
    registers,
  });
  const durations = new Histogram({
    name: 'settle_http_request_duration_seconds',
    help: 'From the request line to the end of the answer.',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const collectOpen = createOpenCollector(ledger);
  new Gauge({
    name: 'settle_sagas_open',
    help: 'Sagas that have not settled, by state; absent while the ledger cannot be reached.',
    labelNames: ['state'],
    registers,
    async collect() {
      await collectOpen(this);
    },
  });
  if (express) addExpressMetrics(registry, express);
  if (circuits) addCircuitMetrics(registry, circuits);
  addHalfMessageGauge(registry, ledger);
  addNoticeGauges(registry, ledger);
  addOutboxGauge(registry, ledger);
  addScanMetrics(registry, ledger);
  addReplyMetrics(registry, ledger);
  addPartitionGauge(registry, ledger);
  return {
    countAccepted: (type) => accepted.inc({ type }),
    countReplayed: (type) => replayed.inc({ type }),
    countProblem: (type) => problems.inc({ type }),
    observeRequest: ({ method, route, status, seconds }) => durations.observe({ method, route, status }, seconds),
    render: async () => ({ contentType: registry.contentType, text: await registry.metrics() }),
  };
}

function createOpenCollector(ledger: Pick<Ledger, 'countOpenByState'>): (gauge: Gauge<'state'>) => Promise<void> {
  let takenAtMs = -Infinity;
  return async (gauge) => {
    if (Date.now() - takenAtMs < SAMPLE_MS) return;
    // a scrape must not fail with the ledger: the other metrics are needed most then
    const counts = await ledger.countOpenByState().catch(() => undefined);
    gauge.reset();
    if (!counts) return;
    takenAtMs = Date.now();
    for (const state of SAGA_STATES) {
      if (state !== 'completed' && state !== 'compensated') gauge.set({ state }, counts.get(state) ?? 0);
    }
  };
}
