import type pg from 'pg';
import type { Logger } from 'pino';
import { definitions, startable } from '../workflows/definitions.js';
import { createHalfMessageStarter } from './api/half-message-starter.js';
import { createOutboxStarter } from './api/outbox-starter.js';
import { createRepairStarter } from './api/repair-starter.js';
import { createSagaStarter } from './api/saga-starter.js';
import { startApi } from './api/server.js';
import { createClient, createLazyClient, ensureScanSchedule, ensureSearchAttributes } from './api/temporal.js';
import { BROKER_SETTINGS } from './config.js';
import type { Config } from './config.js';
import { brokersOf } from './config-routes.js';
import { startExpress } from './express.js';
import { migrate } from './db/migrate.js';
import { seedCustomers } from './db/orders.js';
import { seedInvoices } from './db/payments.js';
import { HORIZONS } from './horizons.js';
import { createPool, withTransaction, type Transaction } from './db/pool.js';
import { checkDatabase, connectTemporal, reasonOf } from './reach.js';
import { contractsOf, eventsOf } from './saga/contracts.js';
import type { SagaDefinition } from './saga/define-saga.js';
import { sampleConsumers } from './samples/consumers.js';
import {
  migrateParticipants,
  seedParticipants,
  startParticipants,
  type ParticipantDatabases,
  type ParticipantName,
} from './samples/participants.js';
import { assertWindows, resendMs } from './saga/windows.js';
import { isAnsweredAtOnce } from './transports/answered-at-once.js';
import { createCircuits } from './transports/circuits.js';
import { unwrapped, type Wrap } from './saga/wrap.js';
import { startWorker } from './worker.js';

/** What one process can be; it may be several at once. */
export type Role = 'api' | 'worker' | 'participants';

export interface RolesOptions {
  readonly config: Config;
  readonly roles: readonly Role[];
  readonly logger: Logger;
  /** For fault tests. @default hands every port on as it is */
  readonly wrap?: Wrap;
}

/** The running roles of one process. */
export interface RunningRoles {
  /** Where each listens. */
  readonly urls: { readonly [Name in 'api' | ParticipantName]?: string };
  /** Rejects when a role ends for good by itself; never resolves. */
  readonly failed: Promise<never>;
  /** The API first, so that nothing new comes in; then its express lane, the worker, the participants, the connections. Stopping twice is stopping once. */
  stop(): Promise<void>;
}

type Stop = () => Promise<unknown>;

/**
 * Starts the roles, all of them or none. The API starts while Temporal is away, as its sagas wait in the ledger;
 * everything else must be reachable.
 *
 * @throws Error, one line, that names the setting that is missing or too short, or the server that cannot be reached
 */
export async function startRoles(options: RolesOptions): Promise<RunningRoles> {
  const { roles } = options;
  requireSettings(options.config, roles);
  assertWindows(options.config.windows, HORIZONS);
  const stops: Stop[] = [];
  try {
    const participants = roles.includes('participants') ? await addParticipants(options, stops) : undefined;
    const producer = roles.some((role) => role !== 'participants') ? await addProducer(options, stops) : undefined;
    return {
      urls: { api: producer?.apiUrl, ...participants },
      failed: producer?.failed ?? new Promise<never>(() => undefined),
      stop: once(() => stopAll(stops)),
    };
  } catch (cause) {
    await stopAll(stops);
    throw cause;
  }
}

/** Brings every database that is set to this release, and Temporal's namespace when its address is set. */
export async function migrateAll(config: Config, { seed }: { readonly seed: boolean }): Promise<void> {
  const { databaseUrl, temporal } = config;
  if (databaseUrl === undefined) throw new Error('DATABASE_URL is unset: set it to the database to migrate');
  await checkDatabase('DATABASE_URL', databaseUrl);
  await migrate(databaseUrl);
  if (seed) await seedProducer(databaseUrl);
  const settings = participantSettings(config);
  // a producer that has no sample participants names none of their databases
  if (Object.values(settings).some((url) => url !== undefined)) {
    const participants = await checkParticipantDatabases(config);
    await migrateParticipants(participants);
    if (seed) await seedParticipants(participants);
  }
  if (temporal.address !== undefined) {
    const connection = await connectTemporal(config);
    await ensureSearchAttributes(createClient(connection, temporal), temporal).finally(() => connection.close());
  }
}

function requireSettings(config: Config, roles: readonly Role[]): void {
  const isProducer = roles.some((role) => role !== 'participants');
  const needed = {
    ...(isProducer && { DATABASE_URL: config.databaseUrl, TEMPORAL_ADDRESS: config.temporal.address }),
    ...(roles.includes('participants') && participantSettings(config)),
  };
  const missing = namesOfUnset(needed);
  const remedy = "'dev' brings up servers of its own";
  if (missing !== '') throw new Error(`${missing} must be set for ${roles.join(', ')}; ${remedy}`);
  // the API sends none over brokers
  if (roles.every((role) => role === 'api')) return;
  for (const [broker, type] of brokersOf(config.routes)) {
    if (config.brokers[broker] !== undefined) continue;
    throw new Error(`${BROKER_SETTINGS[broker]} must be set, as the route of '${type}' goes over ${broker}; ${remedy}`);
  }
}

/** The databases of the sample participants, by the names of their settings. */
function participantSettings(config: Config): Readonly<Record<string, string | undefined>> {
  return {
    SETTLE_INVENTORY_DATABASE_URL: config.inventoryDatabaseUrl,
    SETTLE_ACCOUNTS_DATABASE_URL: config.accountsDatabaseUrl,
    SETTLE_PROFILES_DATABASE_URL: config.profilesDatabaseUrl,
  };
}

function namesOfUnset(settings: Readonly<Record<string, string | undefined>>): string {
  const unset = Object.entries(settings).filter(([, value]) => value === undefined);
  return unset.map(([name]) => name).join(', ');
}

/** @throws Error, one line, when one of the databases is not named or does not answer */
async function checkParticipantDatabases(config: Config): Promise<ParticipantDatabases> {
  const settings = participantSettings(config);
  const missing = namesOfUnset(settings);
  if (missing !== '') throw new Error(`${missing} must be set as well: the sample participants go together`);
  for (const [name, url] of Object.entries(settings)) await checkDatabase(name, url!);
  return {
    inventoryDatabaseUrl: config.inventoryDatabaseUrl!,
    accountsDatabaseUrl: config.accountsDatabaseUrl!,
    profilesDatabaseUrl: config.profilesDatabaseUrl!,
  };
}

async function addParticipants({ config, logger, wrap }: RolesOptions, stops: Stop[]): Promise<RunningRoles['urls']> {
  const databases = await checkParticipantDatabases(config);
  const { host, inventoryPort, accountsPort, profilesPort, windows } = config;
  const participants = await startParticipants({
    ...{ host, inventoryPort, accountsPort, profilesPort, ...databases },
    ...{ logger, wrap },
    consumers: sampleConsumers(config),
    inbox: { windowMs: windows.inboxMs, resendMs: resendMs(HORIZONS, windows) },
  });
  stops.unshift(() => participants.stop());
  return participants.urls;
}

interface Producer {
  readonly apiUrl?: string;
  readonly failed: Promise<never>;
}

/** The producer's side: API, worker, or both on one connection, so that a workflow starts on the worker at hand. */
async function addProducer({ config, roles, logger, wrap }: RolesOptions, stops: Stop[]): Promise<Producer> {
  await checkDatabase('DATABASE_URL', config.databaseUrl!);
  const { pool, doorPool } = openPools(config.databaseUrl!, logger);
  stops.unshift(() => Promise.all([pool.end(), doorPool.end()]));
  const hasWorker = roles.includes('worker');
  const connection = hasWorker ? await connectTemporal(config) : undefined;
  const client = connection ? createClient(connection, config.temporal) : createLazyClient(config.temporal);
  stops.unshift(() => client.connection.close());
  const starter = createSagaStarter({
    client,
    taskQueue: config.temporal.taskQueue,
    workflowOf: (type) => definitionOf(type).workflow,
    isAnsweredAtOnce: (type) => isAnsweredAtOnce(definitionOf(type), config.routes),
    sharesConnection: hasWorker,
    logger,
  });
  stops.unshift(() => starter.stop());
  const halfMessages = createHalfMessageStarter({ client, taskQueue: config.temporal.taskQueue, logger });
  stops.unshift(() => halfMessages.stop());
  const repairs = createRepairStarter({ client, taskQueue: config.temporal.taskQueue, logger });
  stops.unshift(() => repairs.stop());
  const circuits = createCircuits(logger);
  let failed = new Promise<never>(() => undefined);
  if (connection) {
    const prepareTemporal = async (): Promise<void> => {
      await ensureSearchAttributes(client, config.temporal);
      await ensureScanSchedule(client, config.temporal);
    };
    await prepareTemporal();
    const worker = await startWorker({
      config,
      pool,
      connection,
      restarter: starter,
      halfMessages,
      outbox: createOutboxStarter(client, config.temporal.taskQueue),
      repairs,
      completion: client.activity,
      prepareTemporal,
      circuits,
      logger,
      wrap,
    });
    stops.unshift(() => worker.stop());
    failed = rejectionOf(worker.finished);
    // whoever does not listen learns of it when stopping
    failed.catch(() => undefined);
  }
  if (!roles.includes('api')) return { failed };
  const express = startExpress({ config, starter, circuits, logger, wrap: wrap ?? unwrapped });
  stops.unshift(() => express.stop());
  const api = await startApi({
    ...{ config, pool, doorPool, definitions: startable, contracts: contractsOf(definitions) },
    events: eventsOf(definitions),
    ...{ starter, express, circuits, halfMessages, repairs, logger, wrap },
  });
  stops.unshift(() => api.stop());
  return { apiUrl: api.url, failed };
}

/** Connections to the ledger, made when they are needed: most are for all, a few for deciding who is let in. */
function openPools(url: string, logger: Logger): { readonly pool: pg.Pool; readonly doorPool: pg.Pool } {
  const onIdleError = (err: Error): void =>
    logger.warn({ err }, 'an idle database connection broke; another takes its place');
  return {
    pool: createPool(url, { onIdleError }),
    doorPool: createPool(url, { max: 2, name: 'settle-door', onIdleError }),
  };
}

async function seedProducer(url: string): Promise<void> {
  const pool = createPool(url, { max: 1, name: 'settle-seed' });
  const seed = async (tx: Transaction): Promise<void> => {
    await seedCustomers(tx);
    await seedInvoices(tx);
  };
  await withTransaction(pool, seed).finally(() => pool.end());
}

function definitionOf(type: string): SagaDefinition {
  const definition = definitions.find((each) => each.type === type);
  if (!definition) throw new Error(`saga type '${type}' is not one of this release; deploy the release that has it`);
  return definition;
}

/** Stops in order; one that fails does not keep the others from it. */
async function stopAll(stops: readonly Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops) await stop().catch((cause: unknown) => failures.push(cause));
  if (failures.length > 0) throw new AggregateError(failures, `stopping failed: ${failures.map(reasonOf).join('; ')}`);
}

async function rejectionOf(promise: Promise<unknown>): Promise<never> {
  await promise;
  return new Promise<never>(() => undefined);
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => (done ??= work());
}
