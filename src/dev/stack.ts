import { join } from 'node:path';
import { destination, pino } from 'pino';
import type { Logger } from 'pino';
import type { BrokerName } from '../brokers/broker.js';
import type { Config } from '../config.js';
import { brokersOf } from '../config-routes.js';
import { startRoles } from '../roles.js';
import { migrateAll } from '../roles/migrate.js';
import type { RunningRoles } from '../roles.js';
import { startBroker } from './brokers/brokers.js';
import type { BrokerServer } from './brokers/brokers.js';
import { sampleDestinations } from './brokers/sample-destinations.js';
import { chooseDataDir, takeDataDir } from './data-dir.js';
import type { DataDir } from './data-dir.js';
import { checkPorts } from './ports.js';
import type { PortClaim } from './ports.js';
import { startPostgres } from './postgres.js';
import type { PostgresServer } from './postgres.js';
import { findTemporalCli, report } from './temporal-cli.js';
import type { Progress } from './temporal-cli.js';
import { startTemporal } from './temporal-server.js';
import type { TemporalServer } from './temporal-server.js';

/** How a process is told to end. */
export interface StopSignals {
  /** Asks to finish what is under way. */
  readonly stop: AbortSignal;
  /** No longer waits for it. */
  readonly force: AbortSignal;
}

export interface StackOptions {
  readonly config: Config;
  /** Told what takes time. */
  readonly progress: Progress;
  /** `stop` ends a start that is under way, `force` the servers, whatever is under way. */
  readonly signals: StopSignals;
  /** Ran once, with the log of the stack, before anything of Temporal's SDK is. */
  readonly onLog: (logger: Logger) => void;
}

/** Everything that `npm start` runs. */
export interface Stack {
  /** With the addresses of the servers that were brought up. */
  readonly config: Config;
  readonly urls: Required<RunningRoles['urls']>;
  /** Where its log is. */
  readonly logFile: string;
  /** Rejects when a part ends by itself; never resolves. */
  readonly failed: Promise<never>;
  /** API, worker, participants, brokers, Temporal, PostgreSQL, in this order; every one is tried. Stopping twice is stopping once. */
  stop(): Promise<void>;
}

type Stop = () => unknown;

/**
 * Brings up the whole on this machine: the servers that no setting names, the databases' tables and first rows, API, worker
 * and participants. All of it or nothing: what a failure leaves half-started is stopped.
 *
 * @throws Error, one line, that says what is wrong and the setting that helps
 */
export async function startStack(options: StackOptions): Promise<Stack> {
  const stops: Stop[] = [];
  try {
    return await bringUp(options, stops);
  } catch (cause) {
    await stopAll(stops);
    throw cause;
  }
}

async function bringUp({ config: given, progress, signals, onLog }: StackOptions, stops: Stop[]): Promise<Stack> {
  const dataDir = await openDataDir(given.dataDir, { needsPostgres: needsPostgres(given), progress });
  stops.unshift(() => dataDir.release());
  const { stop: signal, force } = signals;
  force.addEventListener('abort', dataDir.killChildren);
  await checkPorts(claimsOf(given));
  const logFile = join(dataDir.path, 'settle.log');
  const logger = pino({ level: given.logLevel }, destination({ dest: logFile, sync: true }));
  onLog(logger);
  const servers = await startServers({ config: given, dataDir, progress, signal }, stops);
  signal.throwIfAborted();
  const config = withServers(given, dataDir.path, servers);
  await slowly(progress, 'preparing the databases', migrateAll(config, { seed: true }));
  signal.throwIfAborted();
  const starting = startRoles({ config, roles: ['participants', 'worker', 'api'], logger });
  const roles = await slowly(progress, 'starting API, worker and participants', starting);
  stops.unshift(() => roles.stop());
  signal.throwIfAborted();
  const { api, inventory, accounts, profiles } = roles.urls;
  let stopping: Promise<void> | undefined;
  const failed = Promise.race([
    roles.failed,
    ...[servers.postgres, servers.temporal, ...servers.brokers].map((server) => endOf(server, () => stopping)),
  ]);
  failed.catch(() => undefined);
  return {
    config,
    urls: { api: api!, inventory: inventory!, accounts: accounts!, profiles: profiles! },
    logFile,
    failed,
    stop: () => (stopping ??= stopAll(stops)),
  };
}

async function openDataDir(
  wanted: string,
  { needsPostgres, progress }: { needsPostgres: boolean; progress: Progress },
): Promise<DataDir> {
  const path = needsPostgres ? chooseDataDir(wanted) : wanted;
  if (path !== wanted)
    progress(`data goes to '${path}': PostgreSQL does not run as root, and its user cannot enter '${wanted}'`);
  return takeDataDir(path);
}

function needsPostgres(config: Config): boolean {
  const { databaseUrl, inventoryDatabaseUrl, accountsDatabaseUrl, profilesDatabaseUrl } = config;
  return [databaseUrl, inventoryDatabaseUrl, accountsDatabaseUrl, profilesDatabaseUrl].includes(undefined);
}

function claimsOf(config: Config): PortClaim[] {
  const { host } = config;
  const own = '127.0.0.1';
  const temporal = [
    { host: own, port: config.temporalPort, use: 'Temporal', setting: 'SETTLE_TEMPORAL_PORT' },
    { host: own, port: config.uiPort, use: 'the Temporal Web UI', setting: 'SETTLE_UI_PORT' },
  ];
  return [
    { host, port: config.port, use: 'the API', setting: 'PORT' },
    { host, port: config.inventoryPort, use: 'the inventory participant', setting: 'SETTLE_INVENTORY_PORT' },
    { host, port: config.accountsPort, use: 'the accounts participant', setting: 'SETTLE_ACCOUNTS_PORT' },
    { host, port: config.profilesPort, use: 'the profiles participant', setting: 'SETTLE_PROFILES_PORT' },
    ...(needsPostgres(config)
      ? [{ host: own, port: config.postgresPort, use: 'PostgreSQL', setting: 'SETTLE_POSTGRES_PORT' }]
      : []),
    ...(config.temporal.address === undefined ? temporal : []),
  ];
}

interface Servers {
  readonly postgres?: PostgresServer;
  readonly temporal?: TemporalServer;
  readonly brokers: readonly BrokerServer[];
}

type ServerOptions = { readonly config: Config; readonly dataDir: DataDir } & {
  readonly progress: Progress;
  readonly signal: AbortSignal;
};

/** All at the same time: each spends seconds waiting. */
async function startServers({ config, dataDir, progress, signal }: ServerOptions, stops: Stop[]): Promise<Servers> {
  const { path, noteChild: onSpawn } = dataDir;
  const inOrder: Record<Exclude<keyof Servers, 'brokers'>, Stop> = {
    temporal: () => undefined,
    postgres: () => undefined,
  };
  const brokers: BrokerServer[] = [];
  stops.unshift(
    () => Promise.all(brokers.map((broker) => broker.stop())),
    () => inOrder.temporal(),
    () => inOrder.postgres(),
  );
  const postgres = async (): Promise<PostgresServer | undefined> => {
    if (!needsPostgres(config)) return undefined;
    const server = await slowly(
      progress,
      'starting PostgreSQL',
      startPostgres({ dataDir: path, port: config.postgresPort, onSpawn }),
    );
    inOrder.postgres = () => server.stop();
    return server;
  };
  const temporal = async (): Promise<TemporalServer | undefined> => {
    if (config.temporal.address !== undefined) return undefined;
    const command = await findTemporalCli({ cacheDir: config.cacheDir, progress, signal });
    const { temporalPort: port, uiPort } = config;
    const { namespace } = config.temporal;
    const starting = startTemporal({ command, dataDir: path, port, uiPort, namespace, onSpawn });
    const server = await slowly(progress, 'starting Temporal', starting);
    inOrder.temporal = () => server.stop();
    return server;
  };
  const broker = async (name: BrokerName): Promise<void> => {
    const { cacheDir } = config;
    const starting = startBroker(name, { cacheDir, dataDir: path, onSpawn, progress, signal });
    const server = await slowly(progress, `starting ${name}`, starting);
    brokers.push(server);
    await server.prepare(sampleDestinations(config, name));
  };
  const missing = [...brokersOf(config.routes).keys()].filter((name) => config.brokers[name] === undefined);
  const [first, second, ...others] = await Promise.allSettled([postgres(), temporal(), ...missing.map(broker)]);
  for (const each of [first, second, ...others]) if (each.status === 'rejected') throw each.reason;
  return { postgres: valueOf(first), temporal: valueOf(second), brokers };
}

function valueOf<T>(settled: PromiseSettledResult<T>): T | undefined {
  return settled.status === 'fulfilled' ? settled.value : undefined;
}

function withServers(config: Config, dataDir: string, { postgres, temporal, brokers }: Servers): Config {
  return Object.freeze({
    ...config,
    dataDir,
    databaseUrl: config.databaseUrl ?? postgres?.url('settle'),
    inventoryDatabaseUrl: config.inventoryDatabaseUrl ?? postgres?.url('inventory'),
    accountsDatabaseUrl: config.accountsDatabaseUrl ?? postgres?.url('accounts'),
    profilesDatabaseUrl: config.profilesDatabaseUrl ?? postgres?.url('profiles'),
    temporal: temporal ? { ...config.temporal, address: temporal.address } : config.temporal,
    brokers: { ...config.brokers, ...Object.fromEntries(brokers.map(({ name, url }) => [name, url])) },
  });
}

/** Speaks up only when it takes longer than anyone waits without asking. */
async function slowly<T>(progress: Progress, what: string, work: Promise<T>): Promise<T> {
  let done = (): void => undefined;
  const timer = setTimeout(() => (done = report(progress, what)), 1_500);
  return work.finally(() => {
    clearTimeout(timer);
    done();
  });
}

/** A server that ends while nobody is stopping it takes the stack with it: what is left could only answer 503. */
async function endOf(
  server: PostgresServer | TemporalServer | BrokerServer | undefined,
  stopping: () => Promise<void> | undefined,
): Promise<never> {
  await server?.exited;
  if (server && stopping() === undefined) {
    const name = 'name' in server ? server.name : 'uiUrl' in server ? 'Temporal' : 'PostgreSQL';
    throw new Error(`${name} has ended by itself; its log is ${name.toLowerCase()}.log in the data folder`);
  }
  return new Promise<never>(() => undefined);
}

async function stopAll(stops: readonly Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops) {
    try {
      await stop();
    } catch (cause) {
      failures.push(cause);
    }
  }
  if (failures.length > 0) throw new AggregateError(failures, `stopping failed: ${failures.map(String).join('; ')}`);
}
