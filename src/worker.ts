import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  makeTelemetryFilterString,
  type NativeConnection,
  Runtime,
  Worker,
  type LogLevel,
  type WorkerOptions,
} from '@temporalio/worker';
import type pg from 'pg';
import type { Logger } from 'pino';
import * as orders from '../activities/orders.js';
import * as payments from '../activities/payments.js';
import { createHalfMessageActivities } from '../activities/half-message-activities.js';
import { scanHalfMessages, type HalfMessageRestarter } from '../activities/half-message-scan.js';
import { startNoticeRounds } from '../activities/notice-rounds.js';
import { withQuickAttempts } from '../activities/quick-attempts.js';
import * as registrations from '../activities/registrations.js';
import { scanRepairs, type RepairRestarter } from '../activities/repair-scan.js';
import { createRepairActivities } from '../activities/repairs.js';
import { createSagaActivities, type ActivityDependencies } from '../activities/saga-activities.js';
import { scanOnce, type SagaRestarter } from '../activities/scan.js';
import { definitions } from '../workflows/definitions.js';
import type { Config } from './config.js';
import { listOpenSteps } from './db/saga-scan.js';
import type { LocalWork } from './saga/local-work.js';
import { MANUAL_WINDOW_MS } from './saga/subject.js';
import { unwrapped, type Wrap } from './saga/wrap.js';
import { createCheckBackClient } from './transports/check-back.js';
import { createRouter } from './transports/router.js';
import { createWebhook } from './transports/webhook.js';
import type { Transaction } from './db/pool.js';

/** What a worker is made of. */
export interface WorkerDependencies {
  readonly config: Config;
  /** Of the producer's database. */
  readonly pool: pg.Pool;
  /** Shared with the API where both run in one process, so that workflows start eagerly. */
  readonly connection: NativeConnection;
  readonly restarter: SagaRestarter;
  readonly halfMessages: HalfMessageRestarter;
  readonly repairs: RepairRestarter;
  /** Called, at most every 10 s, when sagas cannot be started: what Temporal may have lost is set up again. */
  readonly repair: () => Promise<void>;
  readonly logger: Logger;
  readonly wrap?: Wrap;
}

export interface RunningWorker {
  /** Rejects when the worker fails for good; then the process should end. */
  readonly finished: Promise<void>;
  /** Takes no new work, finishes what is under way, 10 s at the most. */
  stop(): Promise<void>;
}

const BUNDLE = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
const WORKFLOWS = fileURLToPath(new URL('../workflows/index.js', import.meta.url));
const SCAN_EVERY_MS = 1_000;
const REPAIR_EVERY_MS = 10_000;

/**
 * Starts the worker: the workflows, their activities, and the ledger scan.
 *
 * @throws Error when a message type has no route, or when open sagas need steps that this release does not have
 */
export async function startWorker(dependencies: WorkerDependencies): Promise<RunningWorker> {
  const { config, pool, logger, wrap = unwrapped } = dependencies;
  checkRoutes(config);
  await checkOpenSagas(pool);
  const router = wrap('router', createRouter(config.routes));
  const checkBackClient = createCheckBackClient();
  const activities = {
    ...createSagaActivities({ pool, router, definitions, localWorks: wrap('localWorks', localWorks()) }),
    ...createHalfMessageActivities({ pool, router, checkBackClient }),
    ...createRepairActivities({ pool, restarter: dependencies.restarter, windowMs: MANUAL_WINDOW_MS }),
  };
  const worker = await Worker.create({
    ...workflowCode(),
    connection: dependencies.connection,
    namespace: config.temporal.namespace,
    taskQueue: config.temporal.taskQueue,
    activities: { ...withQuickAttempts(wrap('activities', activities)) },
    maxConcurrentActivityTaskExecutions: 100,
    maxConcurrentLocalActivityExecutions: 100,
    // a healthy saga is one task: few at a time go straight through, many at a time all grow slow
    maxConcurrentWorkflowTaskExecutions: 32,
    maxCachedWorkflows: 500,
    workflowThreadPoolSize: 1,
    shutdownGraceTime: '10s',
    shutdownForceTime: '15s',
  });
  const finished = worker.run();
  const scan = startScan(dependencies);
  const notices = startNoticeRounds({ pool, logger, webhook: config.webhook && createWebhook(config.webhook) });
  return {
    finished,
    stop: once(async () => {
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all([scan.stop(), notices.stop(), finished.catch(() => undefined)]);
      await Promise.all([router.close(), checkBackClient.close()]);
    }),
  };
}

/**
 * Makes Temporal's SDK write to our log, and leaves the process's signals to us: by default it ends workers on its own,
 * before the API has stopped taking orders. Once a process, before anything else of the SDK.
 */
export function installRuntime(logger: Logger): void {
  const write = (level: LogLevel, message: string, meta?: object): void => {
    // an attempt that failed is an everyday matter, recorded in the ledger; it is no warning of the worker's
    const isAttempt = message === 'Activity failed';
    logger[isAttempt ? 'debug' : PINO_LEVELS[level]]({ ...meta }, message);
  };
  Runtime.install({
    logger: {
      log: write,
      trace: (message, meta) => write('TRACE', message, meta),
      debug: (message, meta) => write('DEBUG', message, meta),
      info: (message, meta) => write('DEBUG', message, meta),
      warn: (message, meta) => write('WARN', message, meta),
      error: (message, meta) => write('ERROR', message, meta),
    },
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
    },
    shutdownSignals: [],
  });
}

const PINO_LEVELS = { TRACE: 'trace', DEBUG: 'debug', INFO: 'debug', WARN: 'warn', ERROR: 'error' } as const;

/** The local transactions of every scenario, by name. */
function localWorks(): ActivityDependencies['localWorks'] {
  const modules: Record<string, object> = { orders, payments, registrations };
  return new Map(
    Object.entries(modules).flatMap(([scenario, works]) =>
      Object.entries(works).map(([name, work]) => [
        `${scenario}.${name}`,
        work as LocalWork<Transaction, never, unknown>,
      ]),
    ),
  );
}

/** The bundle made by the build; from source where there is none, e.g. in tests. */
function workflowCode(): Pick<WorkerOptions, 'workflowBundle' | 'workflowsPath'> {
  return existsSync(BUNDLE) ? { workflowBundle: { codePath: BUNDLE } } : { workflowsPath: WORKFLOWS };
}

function checkRoutes({ routes }: Config): void {
  const types = definitions.flatMap(({ code }) => [...code.values()].flatMap(({ contract }) => contract ?? []));
  const missing = types.flatMap(({ type, undo }) => [type, undo?.type ?? type]).filter((type) => !routes[type]);
  if (missing.length > 0)
    throw new Error(`no route for ${[...new Set(missing)].join(', ')}; add them to the file that SETTLE_ROUTES names`);
}

async function checkOpenSagas(pool: pg.Pool): Promise<void> {
  const codes = new Map(definitions.map(({ type, code }) => [type, code]));
  const missing = (await listOpenSteps(pool)).filter(({ type, step }) => !codes.get(type)?.has(step));
  if (missing.length === 0) return;
  const list = missing.map(({ type, step, sagas }) => `'${type}' step '${step}' (${sagas} open sagas)`).join(', ');
  throw new Error(`open sagas need steps that this release does not have: ${list}; keep them with 'retired: true'`);
}

/**
 * Runs the scan beside Temporal, not in it: it is what rebuilds Temporal after a loss.
 * Rounds never overlap, and a failing one is only reported.
 */
function startScan({ pool, restarter, halfMessages, repairs, repair, logger }: WorkerDependencies): {
  stop(): Promise<void>;
} {
  const stopping = new AbortController();
  let repairedAt = 0;
  const round = async (): Promise<void> => {
    const sagas = await scanOnce(pool, restarter, stopping.signal);
    const messages = await scanHalfMessages(pool, halfMessages, stopping.signal);
    const mended = await scanRepairs(pool, repairs, stopping.signal);
    const failed = sagas.failed + messages.failed + mended.failed;
    if (sagas.started + messages.started + mended.started + failed > 0)
      logger.info({ ...sagas, messages, repairs: mended }, 'ledger scan');
    if (failed === 0 || Date.now() - repairedAt < REPAIR_EVERY_MS) return;
    repairedAt = Date.now();
    await repair();
  };
  const rounds = async (): Promise<void> => {
    for (;;) {
      // rejects when the scan is stopped
      await pause(SCAN_EVERY_MS, undefined, { signal: stopping.signal });
      await round().catch((error: unknown) => logger.warn({ err: error }, 'ledger scan failed; trying again'));
    }
  };
  const ended = rounds().catch(() => undefined);
  return {
    stop: () => {
      stopping.abort();
      return ended;
    },
  };
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}
