import type { Logger } from 'pino';
import { BROKER_SETTINGS } from './config.js';
import type { Config } from './config.js';
import { brokersOf } from './config-routes.js';
import { HORIZONS } from './horizons.js';
import { reasonOf } from './reach.js';
import type { Producer } from './roles/producer.js';
import { namesOfUnset, participantSettings } from './roles/settings.js';
import type { ParticipantName } from './samples/participants.js';
import { assertWindows } from './saga/windows.js';
import type { Wrap } from './saga/wrap.js';

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

/** Ends what was started. */
export type Stop = () => Promise<unknown>;

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
    const participants = roles.includes('participants') ? await participantsOf(options, stops) : undefined;
    const producer = roles.some((role) => role !== 'participants') ? await producerOf(options, stops) : undefined;
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

// a role is loaded when it is started: what a process never runs would be up to two thirds of its start

async function participantsOf(options: RolesOptions, stops: Stop[]): Promise<RunningRoles['urls']> {
  const { addParticipants } = await import('./roles/participants.js');
  return addParticipants(options, stops);
}

async function producerOf(options: RolesOptions, stops: Stop[]): Promise<Producer> {
  const { addProducer } = await import('./roles/producer.js');
  return addProducer(options, stops);
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

/** Stops in order; one that fails does not keep the others from it. */
async function stopAll(stops: readonly Stop[]): Promise<void> {
  const failures: unknown[] = [];
  for (const stop of stops) await stop().catch((cause: unknown) => failures.push(cause));
  if (failures.length > 0) throw new AggregateError(failures, `stopping failed: ${failures.map(reasonOf).join('; ')}`);
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let done: Promise<T> | undefined;
  return () => (done ??= work());
}
