import { isIP } from 'node:net';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { WebUrl } from './config-values.js';
import { accounts, inventory, preferences, profiles } from './messages/index.js';
import type { Routes } from './transports/transport.js';

/** The ports that the sample participants listen on. */
export interface ParticipantPorts {
  readonly inventoryPort: number;
  readonly accountsPort: number;
  readonly profilesPort: number;
}

const RouteFile = z.record(
  z.string().regex(/^[\w.-]{1,200}$/, 'is no message type'),
  z.strictObject({
    transport: z.literal('http').default('http'),
    url: WebUrl,
    timeoutMs: z.int().min(1).max(600_000).optional(),
    ordered: z.boolean().optional(),
  }),
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
  throw new Error(
    `must map message types to routes { transport: http, url, timeoutMs, ordered }; '${path.join('.')}': ${message.split('\n')[0]}`,
  );
}

/** Where the sample participants are, as `npm start` runs them. */
export function sampleRoutes(host: string, ports: ParticipantPorts): Routes {
  const reachable = host === '0.0.0.0' ? '127.0.0.1' : host === '::' ? '[::1]' : isIP(host) === 6 ? `[${host}]` : host;
  const routesTo = (port: number, contracts: Readonly<Record<string, { readonly type: string }>>): Routes =>
    Object.fromEntries(
      Object.values(contracts).map(({ type }) => [
        type,
        { transport: 'http', url: `http://${reachable}:${port}/messages/${type}` },
      ]),
    );
  return {
    ...routesTo(ports.inventoryPort, inventory),
    ...routesTo(ports.accountsPort, accounts),
    ...routesTo(ports.profilesPort, { ...profiles }),
    ...routesTo(ports.profilesPort, { ...preferences }),
  };
}
