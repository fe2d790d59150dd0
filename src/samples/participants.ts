import type { Logger } from 'pino';
import { accounts, inventory, preferences, profiles } from '../messages/index.js';
import {
  migrateParticipant,
  seedParticipant,
  serveParticipant,
  type ParticipantBuilder,
  type ParticipantSchema,
  type ParticipantServer,
  type ServedConsumer,
} from '../participant/index.js';
import type { MessageContract } from '../saga/message-contract.js';
import type { InboxWindow } from '../saga/windows.js';
import type { Wrap } from '../saga/wrap.js';
import { ACCOUNTS_SEED, accountsSchema } from './accounts-schema.js';
import { registerAccounts } from './accounts.js';
import { INVENTORY_SEED, inventorySchema } from './inventory-schema.js';
import { registerInventory } from './inventory.js';
import { profilesSchema } from './profiles-schema.js';
import { registerProfiles } from './profiles.js';

/** Each sample participant has a database of its own. */
export interface ParticipantDatabases {
  readonly inventoryDatabaseUrl: string;
  readonly accountsDatabaseUrl: string;
  readonly profilesDatabaseUrl: string;
}

/** Where the sample participants listen; port 0 takes a free one. */
export interface ParticipantsOptions extends ParticipantDatabases {
  readonly host: string;
  readonly inventoryPort: number;
  readonly accountsPort: number;
  readonly profilesPort: number;
  /** Where they take messages from beside HTTP. @default nowhere */
  readonly consumers?: readonly SampleConsumer[];
  readonly inbox?: InboxWindow;
  readonly logger?: Pick<Logger, 'error' | 'warn' | 'info'>;
  /** Passed the ports `inbox` and `participant` of each; their `consumer` says whose. @default hands them on as they are */
  readonly wrap?: Wrap;
}

/** The name of a sample participant: its consumer, its schema, and the beginning of its settings. */
export type ParticipantName = 'inventory' | 'accounts' | 'profiles';

/** A sample participant that takes messages from a broker. */
export interface SampleConsumer extends ServedConsumer {
  readonly participant: ParticipantName;
}

/** The sample participants, listening. */
export interface Participants {
  /** Base addresses; messages go to `<url>/messages/<type>`. */
  readonly urls: Readonly<Record<ParticipantName, string>>;
  /** Finishes what is under way and closes everything; stopping twice is stopping once. */
  stop(): Promise<void>;
}

interface Sample {
  readonly schema: ParticipantSchema;
  /** Of every message that it handles. */
  readonly contracts: readonly Pick<MessageContract, 'type'>[];
  readonly register: (participant: ParticipantBuilder) => ParticipantBuilder;
  /** The rows to begin with. */
  readonly seed?: string;
}

const SAMPLES: Readonly<Record<ParticipantName, Sample>> = {
  inventory: {
    schema: inventorySchema,
    contracts: Object.values(inventory),
    register: registerInventory,
    seed: INVENTORY_SEED,
  },
  accounts: {
    schema: accountsSchema,
    contracts: Object.values(accounts),
    register: registerAccounts,
    seed: ACCOUNTS_SEED,
  },
  profiles: {
    schema: profilesSchema,
    contracts: [...Object.values(profiles), ...Object.values(preferences)],
    register: registerProfiles,
  },
};
const NAMES = Object.keys(SAMPLES) as ParticipantName[];

/**
 * Starts every sample participant, or none: over HTTP in any case, and over brokers as told. Their databases must be migrated; databases
 * and brokers may be away for the moment.
 *
 * @throws Error in one clear line when a port cannot be had
 */
export async function startParticipants(options: ParticipantsOptions): Promise<Participants> {
  const { host, consumers = [], inbox, logger, wrap } = options;
  const servers: ParticipantServer[] = [];
  for (const consumer of NAMES) {
    const server = await serveParticipant({
      consumer,
      databaseUrl: options[`${consumer}DatabaseUrl`],
      host,
      port: options[`${consumer}Port`],
      register: SAMPLES[consumer].register,
      consumers: consumers.filter(({ participant }) => participant === consumer),
      inbox,
      logger,
      wrap,
    }).catch(async (error: unknown) => {
      await stopAll(servers);
      throw error;
    });
    servers.push(server);
  }
  const urls = Object.fromEntries(NAMES.map((name, index) => [name, servers[index]!.url])) as Participants['urls'];
  return { urls, stop: () => stopAll(servers) };
}

/** The sample participant that handles a message type; undefined when none does. */
export function participantOf(type: string): ParticipantName | undefined {
  return NAMES.find((name) => SAMPLES[name].contracts.some((contract) => contract.type === type));
}

/**
 * Brings every database to this release; safe when many start at once.
 *
 * @throws Error that names the migration that failed
 */
export async function migrateParticipants(urls: ParticipantDatabases): Promise<void> {
  for (const name of NAMES) await migrateParticipant(urls[`${name}DatabaseUrl`], SAMPLES[name].schema);
}

/**
 * Opens the demonstration's stock and accounts: skus `book` (1,000,000), `rare` (1), `sold-out` (0);
 * accounts `c-1` … `c-1000` with 1,000,000.00 EUR each, `c-poor` with nothing and `c-closed`, which is closed.
 * What is there already stays as it is.
 */
export async function seedParticipants(urls: ParticipantDatabases): Promise<void> {
  for (const name of NAMES) {
    const { seed } = SAMPLES[name];
    if (seed !== undefined) await seedParticipant(urls[`${name}DatabaseUrl`], seed);
  }
}

async function stopAll(servers: readonly ParticipantServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
