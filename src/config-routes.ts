import { isIP } from 'node:net';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import type { BrokerName } from './brokers/broker.js';
import { WebUrl } from './config-values.js';
import { accounts, inventory, preferences, profiles } from './messages/index.js';
import type { MessageContract } from './saga/message-contract.js';
import type { SAMPLE_TRANSPORTS } from './settings.js';
import type { BrokerRoute, HttpRoute, Route, Routes } from './transports/transport.js';

/** The ports that the sample participants listen on. */
export interface ParticipantPorts {
  readonly inventoryPort: number;
  readonly accountsPort: number;
  readonly profilesPort: number;
}

/** Where the sample participants are, and how they are reached. */
export interface SampleRoutes extends ParticipantPorts {
  readonly host: string;
  readonly transport: (typeof SAMPLE_TRANSPORTS)[number];
}

const common = { timeoutMs: z.int().min(1).max(600_000).optional(), ordered: z.boolean().optional() };
const brokered = {
  ...common,
  maxBytes: z
    .int()
    .min(1_024)
    .max(2 ** 30)
    .optional(),
  fireAndForget: z.boolean().optional(),
};
const named = (pattern: RegExp, remedy: string): z.ZodString => z.string().regex(pattern, remedy);
const anyMode = z.enum(['structured', 'binary'], "must be 'structured' or 'binary'").optional();
const structured = z.literal('structured', "must be 'structured': no binding defines another").optional();

const RouteEntry = z.discriminatedUnion(
  'transport',
  [
    z.strictObject({ transport: z.literal('http'), url: WebUrl, ...common }),
    z.strictObject({
      transport: z.literal('rabbitmq'),
      to: named(/^[\x21-\x7e]{1,200}$/, 'must be the name of a queue, without spaces'),
      mode: anyMode,
      ...brokered,
    }),
    z.strictObject({
      transport: z.literal('kafka'),
      to: named(/^(?!\.\.?$)[\w.-]{1,249}$/, "must be the name of a topic: letters, digits, '.', '_' and '-'"),
      mode: anyMode,
      ...brokered,
    }),
    z.strictObject({
      transport: z.literal('rocketmq'),
      to: named(/^[\w-]{1,127}$/, "must be the name of a topic: letters, digits, '_' and '-'"),
      mode: structured,
      transactional: z.boolean().optional(),
      ...brokered,
    }),
    z.strictObject({
      transport: z.literal('redis'),
      to: named(/^[\x21-\x7e]{1,200}$/, 'must be the key of a stream, without spaces'),
      mode: structured,
      ...brokered,
    }),
  ],
  "must be 'http', 'rabbitmq', 'kafka', 'rocketmq' or 'redis'",
);

const RouteFile = z.record(
  z.string().regex(/^[\w.-]{1,200}$/, 'is no message type'),
  z.preprocess(withTransport, RouteEntry),
);

/**
 * Reads a file of routes: JSON is YAML, so one parser reads both.
 *
 * @throws Error that says what is wrong with which member
 */
export function parseRoutes(content: Buffer): Routes {
  const parsed = RouteFile.safeParse(parseYaml(content.toString('utf8'), { maxAliasCount: 0 }));
  if (parsed.success) return parsed.data;
  const { path, message } = parsed.error.issues[0] ?? { path: [], message: 'is wrong' };
  const forms = '{ transport: http, url, … } or { transport: rabbitmq | kafka | rocketmq | redis, to, … }';
  throw new Error(`must map message types to routes ${forms}; '${path.join('.')}': ${message.split('\n')[0]}`);
}

/** The brokers that routes go over, each with a message type that does, for people to read. */
export function brokersOf(routes: Routes): ReadonlyMap<BrokerName, string> {
  const found = new Map<BrokerName, string>();
  for (const [type, { transport }] of Object.entries(routes)) {
    if (transport !== 'http' && !found.has(transport)) found.set(transport, type);
  }
  return found;
}

/** Where the sample participants are, as `npm start` runs them: each has one destination a broker, named after it. */
export function sampleRoutes(where: SampleRoutes): Routes {
  const orders = { debit: accounts.debit, refund: accounts.refund, credit: accounts.credit, back: accounts.takeBack };
  const payments = { reserve: accounts.reserve, release: accounts.release, capture: accounts.capture };
  return {
    ...routesTo(where, 'inventory', { contracts: inventory, among: 'rabbitmq' }),
    ...routesTo(where, 'accounts', { contracts: orders, among: 'rabbitmq' }),
    ...routesTo(where, 'accounts', { contracts: payments, among: 'kafka' }),
    ...routesTo(where, 'profiles', { contracts: profiles, among: 'rocketmq' }),
    ...routesTo(where, 'profiles', { contracts: preferences, among: 'redis' }),
  };
}

type Participant = 'inventory' | 'accounts' | 'profiles';

interface SampleMessages {
  readonly contracts: Readonly<Record<string, Pick<MessageContract, 'type'>>>;
  /** Their transport where all are in use. */
  readonly among: BrokerName;
}

function routesTo(where: SampleRoutes, to: Participant, { contracts, among }: SampleMessages): Routes {
  const transport = where.transport === 'all' ? among : where.transport;
  const routeOf = (type: string): Route =>
    transport === 'http'
      ? ({
          transport,
          url: `http://${reachable(where.host)}:${where[`${to}Port`]}/messages/${type}`,
        } satisfies HttpRoute)
      : ({ transport, to } satisfies BrokerRoute);
  return Object.fromEntries(Object.values(contracts).map(({ type }) => [type, routeOf(type)]));
}

function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  if (host === '::') return '[::1]';
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** HTTP is what a route is by where it names no transport. */
function withTransport(entry: unknown): unknown {
  const isUnnamed = typeof entry === 'object' && entry !== null && !Array.isArray(entry) && !('transport' in entry);
  return isUnnamed ? { transport: 'http', ...entry } : entry;
}
