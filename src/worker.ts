import { existsSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import {
  makeTelemetryFilterString,
  type NativeConnection,
  Runtime,
  Worker,
  type WorkerOptions,
} from '@temporalio/worker';
import type { AsyncCompletionClient } from '@temporalio/client';
import type pg from 'pg';
import type { Logger } from 'pino';
import { createScanActivities, type ScanDependencies } from '../activities/ledger-scan.js';
import { createDecideSending } from '../activities/decide-sending.js';
import { createHalfMessageActivities } from '../activities/half-message-activities.js';
import { scanHalfMessages, type HalfMessageRestarter } from '../activities/half-message-scan.js';
import { startNoticeRounds } from '../activities/notice-rounds.js';
import { createOutboxActivities } from '../activities/outbox-activities.js';
import { scanOutbox, type OutboxRestarter } from '../activities/outbox-scan.js';
import { withQuickAttempts } from '../activities/quick-attempts.js';
import { startRelay } from '../activities/relay.js';
import { startReplies, type Replies } from '../activities/replies.js';
import { createReplyDesk, type ReplyDesk } from '../activities/reply-desk.js';
import { scanRepairs, type RepairRestarter } from '../activities/repair-scan.js';
import { createRepairActivities } from '../activities/repairs.js';
import { aheadLedger } from '../activities/ahead-run.js';
import { createSagaActivities } from '../activities/saga-activities.js';
import { scanOperatorActions, scanSagas, type SagaRestarter } from '../activities/scan.js';
import { definitions } from '../workflows/definitions.js';
import type { Config } from './config.js';
import { brokersOf } from './config-routes.js';
import { listen } from './db/listen.js';
import { OUTBOX_CHANNEL } from './db/outbox.js';
import { createPool } from './db/pool.js';
import { readReplySecret, REPLY_CHANNEL } from './db/replies.js';
import { keepLedger } from './db/retention.js';
import { startUpkeep } from './db/upkeep.js';
import { listOpenSteps } from './db/saga-scan.js';
import { contractsOf } from './saga/contracts.js';
import { localWorks } from './local-works.js';
import { unwrapped, type Wrap } from './saga/wrap.js';
import { sdkLog } from './sdk-log.js';
import { createBrokers, type Brokers } from './transports/brokers.js';
import { createCheckBackClient } from './transports/check-back.js';
import type { Circuits } from './transports/circuits.js';
import { createReplyAddress, type ReplyAddress } from './transports/reply-address.js';
import { createRouter, type Router } from './transports/router.js';
import { createWebhook } from './transports/webhook.js';

/** What a worker is made of. */
export interface WorkerDependencies {
  readonly config: Config;
  /** Of the producer's database. */
  readonly pool: pg.Pool;
  /** Shared with the API where both run in one process, so that workflows start eagerly. */
  readonly connection: NativeConnection;
  readonly restarter: SagaRestarter;
  readonly halfMessages: HalfMessageRestarter;
  readonly outbox: OutboxRestarter;
  readonly repairs: RepairRestarter;
  /** Completes activities that wait for an answer, whichever worker left them open. */
  readonly completion: Pick<AsyncCompletionClient, 'complete' | 'fail'>;
  /** Sets up what Temporal must have, where it is missing; called every 5 s. */
  readonly prepareTemporal: () => Promise<void>;
  /** Of the process. */
  readonly circuits: Circuits;
  readonly logger: Logger;
  readonly wrap?: Wrap;
  /** @default those that the configuration names, each opened when it is needed */
  readonly brokers?: Brokers;
}

export interface RunningWorker {
  /** Rejects when the worker fails for good; then the process should end. */
  readonly finished: Promise<void>;
  /** Takes no new work, finishes what is under way, 10 s at the most, then the answers that brokers bring. */
  stop(): Promise<void>;
}

/** How much goes on at a time, and how long a worker that is gone is waited for. */
export const TUNING = {
  maxConcurrentActivityTaskExecutions: 100,
  maxConcurrentLocalActivityExecutions: 100,
  // a healthy saga is one task. Where no place is free, Temporal does not hand it over with the start, but stores it once more and
  // has it fetched: with 32 that was so with 7 of 10 sagas when 32 were in flight, with 64 with 2
  maxConcurrentWorkflowTaskExecutions: 64,
  maxCachedWorkflows: 500,
  // what a worker that has died was to go on with is another's so soon
  stickyQueueScheduleToStartTimeout: '3s',
  // the SDK would keep a heartbeat back until 80 % of the scan's time-out are over, and a machine that stood still for the rest of it
  // would be taken for a worker that has died
  maxHeartbeatThrottleInterval: '1s',
  workflowThreadPoolSize: 1,
  // a history that does not replay would fail its task for ever. The workflow ends instead, and the scan starts another from the ledger;
  // the SDK heeds this at a task's first attempt, the scan looks after the later ones. What brings such a history about is code that
  // changes the way of sagas under way or, seldom, the SDK's core: it gives a task to a run whose local activity still belongs to a task
  // that has timed out, and its replay makes one of the two
  workflowFailureErrorTypes: { '*': ['NondeterminismError'] },
  shutdownGraceTime: '10s',
  shutdownForceTime: '15s',
} satisfies Partial<WorkerOptions>;

const BUNDLE = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
const WORKFLOWS = fileURLToPath(new URL('../workflows/index.js', import.meta.url));
const PREPARE_EVERY_MS = 5_000;

/**
 * Starts the worker: the workflows and their activities, of which the ledger scan is one, and the relay of the outbox.
 *
 * @throws Error when a message type has no route, or when open sagas need steps that this release does not have
 */
export async function startWorker(dependencies: WorkerDependencies): Promise<RunningWorker> {
  const { config, pool, restarter, circuits, wrap = unwrapped } = dependencies;
  const stopping = new AbortController();
  checkRoutes(config);
  await checkOpenSagas(pool);
  const brokers = dependencies.brokers ?? createBrokers(config.brokers);
  const address = createReplyAddress(config.temporal.taskQueue, await readReplySecret(pool));
  const desk = createReplyDesk();
  const onTrouble = (err: Error): void =>
    dependencies.logger.warn({ err }, 'transactional messages are asked after again');
  const halves = { decide: createDecideSending(pool), onTrouble };
  const router = wrap('router', createRouter(config.routes, { brokers, replies: address, halves, circuits }));
  const replies = await takeReplies(dependencies, { brokers, address, desk });
  const obtaining = { router, desk, openActivities: replies.openActivities };
  const checkBackClient = createCheckBackClient();
  // a step, and the relay, ask for rows by their keys: planned once, their statements cost no more for the partitions
  const byKey = createPool(config.databaseUrl!, { name: 'settle-steps', plansOnce: true, pipelines: true });
  const ahead = wrap('aheadLedger', aheadLedger(byKey));
  const works = wrap('localWorks', localWorks());
  const activities = {
    ...createSagaActivities({ pool: byKey, ...obtaining, definitions, localWorks: works, ahead }),
    ...createHalfMessageActivities({ pool, ...obtaining, checkBackClient }),
    ...createOutboxActivities({ pool }),
    ...createRepairActivities({ pool, restarter, windowMs: config.windows.manualMs }),
    ...createScanActivities({ pool, stopping: stopping.signal, looks: looksOf(dependencies) }),
  };
  const release = async (): Promise<void> => {
    await replies.stop();
    await Promise.all([router.close(), checkBackClient.close(), byKey.end()]);
  };
  const worker = await Worker.create({
    ...workflowCode(),
    connection: dependencies.connection,
    namespace: config.temporal.namespace,
    taskQueue: config.temporal.taskQueue,
    activities: { ...withQuickAttempts(wrap('activities', activities)) },
    ...TUNING,
  }).catch(async (error: unknown) => {
    await release();
    throw error;
  });
  const finished = worker.run();
  const kept = keepPrepared(dependencies, stopping.signal);
  const beside = startBeside(dependencies, { router, desk, byKey });
  return {
    finished,
    stop: once(async () => {
      stopping.abort();
      if (worker.getState() === 'RUNNING') worker.shutdown();
      await Promise.all([kept, ...beside.map((each) => each.stop()), finished.catch(() => undefined)]);
      // whoever waits for an answer has ended by now
      await release();
    }),
  };
}

interface Asking {
  readonly brokers: Brokers;
  readonly address: ReplyAddress;
  readonly desk: ReplyDesk;
}

/** Takes the answers that brokers bring; nothing runs where every route is over HTTP. */
function takeReplies({ config, pool, completion, logger }: WorkerDependencies, asking: Asking): Promise<Replies> {
  const names = [...brokersOf(config.routes).keys()];
  const onError = (err: Error): void =>
    logger.warn({ err }, 'nobody tells of answers that other workers take; messages without one are sent again');
  return startReplies({
    ...{ pool, completion, logger, names, ...asking },
    contracts: contractsOf(definitions),
    listen: (taker) => {
      if (names.length === 0) return { stop: () => Promise.resolve() };
      const onWake = (): void => void taker.lookAround().catch(onError);
      const onNotice = (notice: string): void => void taker.hear(notice).catch(onError);
      return listen({ url: config.databaseUrl!, channel: REPLY_CHANNEL, onWake, onNotice, onError });
    },
  });
}

/** What the ledger scan looks at, in order. */
function looksOf({ pool, restarter, halfMessages, outbox, repairs }: WorkerDependencies): ScanDependencies['looks'] {
  return {
    saga: (signal) => scanSagas(pool, restarter, signal),
    // after the workflows: what is decided for one that was lost is told to the one that takes its place
    'operator-action': (signal) => scanOperatorActions(pool, restarter, signal),
    'half-message': (signal) => scanHalfMessages(pool, halfMessages, signal),
    outbox: (signal) => scanOutbox(pool, outbox, signal),
    repair: (signal) => scanRepairs(pool, repairs, signal),
  };
}

/** What runs beside Temporal, and while it is away: the relay of the outbox, what people are told, the upkeep of the ledger. */
function startBeside(
  { config, pool, logger }: WorkerDependencies,
  { router, desk, byKey }: { readonly router: Router; readonly desk: ReplyDesk; readonly byKey: pg.Pool },
): readonly { stop(): Promise<void> }[] {
  const onError = (err: Error): void =>
    logger.warn({ err }, 'nobody tells of new outbox messages; they are polled for');
  return [
    startRelay({
      ...{ pool: byKey, router, desk, logger },
      routes: config.routes,
      listen: (onWake) => listen({ url: config.databaseUrl!, channel: OUTBOX_CHANNEL, onWake, onError }),
    }),
    startNoticeRounds({ pool, logger, webhook: config.webhook && createWebhook(config.webhook) }),
    startUpkeep({ round: (signal) => keepLedger(pool, config.windows, signal), logger }),
  ];
}

/**
 * Makes Temporal's SDK write to our log, and leaves the process's signals to us: by default it ends workers on its own,
 * before the API has stopped taking orders. Once a process, before anything else of the SDK.
 */
export function installRuntime(logger: Logger): void {
  Runtime.install({
    logger: sdkLog(logger),
    telemetryOptions: {
      logging: { forward: {}, filter: makeTelemetryFilterString({ core: 'ERROR', other: 'ERROR' }) },
    },
    shutdownSignals: [],
  });
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
 * Temporal may lose its store, and with it what the namespace was prepared with. The scan that makes the loss good is scheduled
 * in Temporal itself, so that one worker does it and another takes over; that it is scheduled is each worker's care.
 */
function keepPrepared({ prepareTemporal, logger }: WorkerDependencies, signal: AbortSignal): Promise<void> {
  const rounds = async (): Promise<void> => {
    for (;;) {
      // rejects when the worker stops
      await pause(PREPARE_EVERY_MS, undefined, { signal });
      await prepareTemporal().catch((err: unknown) => logger.warn({ err }, 'Temporal is not prepared; trying again'));
    }
  };
  return rounds().catch(() => undefined);
}

function once(work: () => Promise<void>): () => Promise<void> {
  let done: Promise<void> | undefined;
  return () => (done ??= work());
}
