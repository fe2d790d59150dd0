import { isIP } from 'node:net';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { ConfigError, Reader } from './config-reader.js';
import { brokersOf, parseRoutes, sampleRoutes } from './config-routes.js';
import type { BrokerName } from './brokers/broker.js';
import type { BrokerUrls } from './brokers/open-broker.js';
import {
  Address,
  AddressList,
  AmqpUrl,
  Count,
  Flag,
  Host,
  LaneName,
  LogLevel,
  Port,
  PostgresUrl,
  RedisUrl,
  Span,
  TransportName,
  WebhookSecrets,
  WebUrl,
  Word,
} from './config-values.js';
import type { Lane } from './saga/lane.js';
import type { LOG_LEVELS, SettingName } from './settings.js';
import { DEFAULT_BROKER_MS, DEFAULT_WINDOWS, type Windows } from './saga/windows.js';
import type { Routes } from './transports/transport.js';
import type { WebhookSettings } from './transports/webhook.js';

export { ConfigError } from './config-reader.js';
export { SETTINGS } from './settings.js';
export type { Setting } from './settings.js';

/** How to reach Temporal. */
export interface TemporalConfig {
  /** `host:port`; unset: the development server of this machine. */
  readonly address?: string;
  readonly namespace: string;
  readonly apiKey?: string;
  /** In the form that the SDK's connections take; unset: plain text. */
  readonly tls?: boolean | TemporalTls;
  readonly taskQueue: string;
  /** Where people look at workflows, without a slash at its end. */
  readonly uiUrl: string;
}

/** The contents of the certificate files. */
export interface TemporalTls {
  readonly serverRootCACertificate?: Buffer;
  readonly clientCertPair?: { readonly crt: Buffer; readonly key: Buffer };
}

/** Everything that may differ between two installations; made once by `loadConfig`, frozen. */
export interface Config {
  readonly host: string;
  readonly port: number;
  /** API key → tenant; empty: no key is asked for, and every request is of the tenant `default`. */
  readonly apiKeys: ReadonlyMap<string, string>;
  readonly databaseUrl?: string;
  readonly inventoryDatabaseUrl?: string;
  readonly accountsDatabaseUrl?: string;
  readonly profilesDatabaseUrl?: string;
  readonly inventoryPort: number;
  readonly accountsPort: number;
  readonly profilesPort: number;
  /** The embedded PostgreSQL's. */
  readonly postgresPort: number;
  readonly temporal: TemporalConfig;
  /** The development server's. */
  readonly temporalPort: number;
  /** The development server's Web UI. */
  readonly uiPort: number;
  /** Absolute. */
  readonly dataDir: string;
  /** Absolute; for what any installation of this user may share. */
  readonly cacheDir: string;
  readonly routes: Routes;
  /** How to reach each broker; unset: `npm start` brings up those that a route goes over. */
  readonly brokers: BrokerUrls;
  /** Told what people should hear of; unset: nobody is. */
  readonly webhook?: WebhookSettings;
  /** How new sagas run whose definitions do not ask for the express lane; those that cannot run in it take the workflow lane. */
  readonly lane: Lane;
  /** Sagas that may wait for Temporal before the API answers 503. */
  readonly backlog: number;
  readonly windows: Windows;
  readonly logLevel: (typeof LOG_LEVELS)[number];
}

/**
 * The settings of this process.
 *
 * @param env variables; an empty one counts as unset
 * @param overrides variables that hold whatever `env` says; an empty one unsets
 * @throws ConfigError that lists every problem, not only the first
 * @example const config = loadConfig();
 */
export function loadConfig(env: NodeJS.ProcessEnv = process.env, overrides: NodeJS.ProcessEnv = {}): Config {
  const reader = new Reader({ ...env, ...overrides });
  const host = reader.read('HOST', Host) ?? '127.0.0.1';
  const ports = readPorts(reader);
  const transport = reader.read('SETTLE_TRANSPORT', TransportName) ?? 'http';
  const routes = reader.readFile('SETTLE_ROUTES', parseRoutes) ?? sampleRoutes({ host, transport, ...ports });
  const config: Config = {
    host,
    ...ports,
    apiKeys: readApiKeys(reader, host),
    databaseUrl: reader.read('DATABASE_URL', PostgresUrl),
    inventoryDatabaseUrl: reader.read('SETTLE_INVENTORY_DATABASE_URL', PostgresUrl),
    accountsDatabaseUrl: reader.read('SETTLE_ACCOUNTS_DATABASE_URL', PostgresUrl),
    profilesDatabaseUrl: reader.read('SETTLE_PROFILES_DATABASE_URL', PostgresUrl),
    temporal: readTemporal(reader, ports.uiPort),
    dataDir: resolve(reader.read('SETTLE_DATA_DIR', z.string()) ?? '.settle'),
    cacheDir: resolve(reader.read('XDG_CACHE_HOME', z.string()) ?? join(homedir(), '.cache'), 'settle'),
    routes,
    brokers: readBrokers(reader),
    webhook: readWebhook(reader),
    lane: reader.read('SETTLE_LANE', LaneName) ?? 'workflow',
    backlog: reader.read('SETTLE_BACKLOG', Count) ?? 10_000,
    windows: readWindows(reader, routes),
    logLevel: reader.read('LOG_LEVEL', LogLevel) ?? 'info',
  };
  checkReplyAddress(reader, config);
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return freeze(config);
}

/**
 * The settings of `npx settle`, which talks to an API that may be elsewhere.
 *
 * @throws ConfigError
 */
export function loadClientSettings(env: NodeJS.ProcessEnv = process.env): {
  url: string;
  apiKey?: string;
  /** False when NO_COLOR is set (no-color.org). */
  hasColours: boolean;
} {
  const reader = new Reader(env);
  const url = reader.read('SETTLE_URL', WebUrl) ?? 'http://127.0.0.1:3000';
  const apiKey = reader.read('SETTLE_API_KEY', z.string());
  if (reader.problems.length > 0) throw new ConfigError(reader.problems);
  return { url, apiKey, hasColours: (env['NO_COLOR'] ?? '') === '' };
}

/** Whether only processes of this machine can reach what listens on `host`. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIP(host) === 4 && host.startsWith('127.'));
}

type Ports = Pick<
  Config,
  'port' | 'inventoryPort' | 'accountsPort' | 'profilesPort' | 'postgresPort' | 'temporalPort' | 'uiPort'
>;

function readPorts(reader: Reader): Ports {
  const port = reader.read('PORT', Port) ?? 3_000;
  const names = new Map<number, SettingName>([[port, 'PORT']]);
  const next = (name: SettingName, offset: number): number => {
    const value = reader.read(name, Port) ?? port + offset;
    if (value > 65_535) reader.refuse(name, `PORT + ${offset} is no port; set ${name}, or a lower PORT`);
    const other = names.get(value);
    if (other !== undefined) reader.refuse(name, `must differ from ${other}, which is ${value} too`);
    names.set(value, name);
    return value;
  };
  return {
    port,
    inventoryPort: next('SETTLE_INVENTORY_PORT', 1),
    accountsPort: next('SETTLE_ACCOUNTS_PORT', 2),
    postgresPort: next('SETTLE_POSTGRES_PORT', 3),
    temporalPort: next('SETTLE_TEMPORAL_PORT', 4),
    uiPort: next('SETTLE_UI_PORT', 5),
    profilesPort: next('SETTLE_PROFILES_PORT', 6),
  };
}

/** The setting that says how to reach each broker. */
export const BROKER_SETTINGS = {
  rabbitmq: 'SETTLE_RABBITMQ_URL',
  kafka: 'SETTLE_KAFKA_BROKERS',
  rocketmq: 'SETTLE_ROCKETMQ_ENDPOINTS',
  redis: 'SETTLE_REDIS_URL',
} as const satisfies Record<BrokerName, SettingName>;

function readBrokers(reader: Reader): BrokerUrls {
  return {
    rabbitmq: reader.read(BROKER_SETTINGS.rabbitmq, AmqpUrl),
    kafka: reader.read(BROKER_SETTINGS.kafka, AddressList),
    rocketmq: reader.read(BROKER_SETTINGS.rocketmq, Address),
    redis: reader.read(BROKER_SETTINGS.redis, RedisUrl),
  };
}

/** Answers come to a destination that is named after the task queue, which not every broker takes. */
function checkReplyAddress(reader: Reader, { routes, temporal: { taskQueue } }: Config): void {
  if (brokersOf(routes).has('rocketmq') && !/^[\w-]{1,100}$/.test(taskQueue))
    reader.refuse(
      'SETTLE_TASK_QUEUE',
      "must be up to 100 letters, digits, '_' and '-', as a topic of RocketMQ is named after it",
    );
}

function readApiKeys(reader: Reader, host: string): ReadonlyMap<string, string> {
  const text = reader.read('SETTLE_API_KEYS', z.string()) ?? '';
  const entries = text === '' ? [] : text.split(',').map((entry) => entry.trim());
  const keys = new Map<string, string>();
  for (const entry of entries) {
    const [, key, tenant = 'default'] = /^([\x21-\x2b\x2d-\x39\x3b-\x7e]+)(?::([\w.-]{1,64}))?$/.exec(entry) ?? [];
    if (key === undefined)
      reader.refuse('SETTLE_API_KEYS', "must be 'key:tenant,key:tenant'; entry " + String(keys.size + 1) + ' is not');
    else if (keys.has(key))
      reader.refuse('SETTLE_API_KEYS', `must name each key once; entry ${keys.size + 1} repeats one`);
    else keys.set(key, tenant);
  }
  if (text === '' && !isLoopback(host))
    reader.refuse('SETTLE_API_KEYS', `must be set, as HOST '${host}' is open to other machines`);
  return keys;
}

function readWindows(reader: Reader, routes: Routes): Windows {
  const brokerMs = reader.read('SETTLE_BROKER_WINDOW', Span) ?? DEFAULT_BROKER_MS;
  return {
    keyMs: reader.read('SETTLE_KEY_WINDOW', Span) ?? DEFAULT_WINDOWS.keyMs,
    retentionMs: reader.read('SETTLE_RETENTION', Span) ?? DEFAULT_WINDOWS.retentionMs,
    manualMs: reader.read('SETTLE_MANUAL_WINDOW', Span) ?? DEFAULT_WINDOWS.manualMs,
    inboxMs: reader.read('SETTLE_INBOX_WINDOW', Span) ?? DEFAULT_WINDOWS.inboxMs,
    brokerMs: brokersOf(routes).size > 0 ? brokerMs : 0,
  };
}

function readTemporal(reader: Reader, uiPort: number): TemporalConfig {
  const apiKey = reader.read('TEMPORAL_API_KEY', z.string());
  const isOn = reader.read('TEMPORAL_TLS', Flag) ?? apiKey !== undefined;
  const asIs = (content: Buffer): Buffer => content;
  const ca = reader.readFile('TEMPORAL_TLS_CA', asIs);
  const crt = reader.readFile('TEMPORAL_TLS_CERT', asIs);
  const key = reader.readFile('TEMPORAL_TLS_KEY', asIs);
  if (crt && !key) reader.refuse('TEMPORAL_TLS_KEY', 'must be set together with TEMPORAL_TLS_CERT');
  if (key && !crt) reader.refuse('TEMPORAL_TLS_CERT', 'must be set together with TEMPORAL_TLS_KEY');
  const files: TemporalTls = { serverRootCACertificate: ca, clientCertPair: crt && key ? { crt, key } : undefined };
  return {
    address: reader.read('TEMPORAL_ADDRESS', Address),
    namespace: reader.read('TEMPORAL_NAMESPACE', Word) ?? 'default',
    apiKey,
    tls: ca || crt ? files : isOn || undefined,
    taskQueue: reader.read('SETTLE_TASK_QUEUE', Word) ?? 'settle',
    uiUrl: (reader.read('TEMPORAL_UI_URL', WebUrl) ?? `http://127.0.0.1:${uiPort}`).replace(/\/+$/, ''),
  };
}

function readWebhook(reader: Reader): WebhookSettings | undefined {
  const url = reader.read('SETTLE_WEBHOOK_URL', WebUrl);
  const secrets = reader.read('SETTLE_WEBHOOK_SECRET', WebhookSecrets);
  if (url !== undefined && secrets) return { url, secrets };
  if (url !== undefined) reader.refuse('SETTLE_WEBHOOK_SECRET', 'must be set together with SETTLE_WEBHOOK_URL');
  if (secrets) reader.refuse('SETTLE_WEBHOOK_URL', 'must be set together with SETTLE_WEBHOOK_SECRET');
  return undefined;
}

function freeze(config: Config): Config {
  Object.values(config.routes).forEach((route) => Object.freeze(route));
  Object.freeze(config.routes);
  Object.freeze(config.brokers);
  Object.freeze(config.temporal);
  Object.freeze(config.windows);
  return Object.freeze(config);
}
