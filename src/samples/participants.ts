import type { Logger } from 'pino';
import { migrateParticipant, seedParticipant, serveParticipant, type ParticipantServer } from '../participant/index.js';
import type { Wrap } from '../saga/wrap.js';
import { ACCOUNTS_SEED, accountsSchema } from './accounts-schema.js';
import { registerAccounts } from './accounts.js';
import { INVENTORY_SEED, inventorySchema } from './inventory-schema.js';
import { registerInventory } from './inventory.js';

/** Each sample participant has a database of its own. */
export interface ParticipantDatabases {
  readonly inventoryDatabaseUrl: string;
  readonly accountsDatabaseUrl: string;
}

/** Where the sample participants listen; port 0 takes a free one. */
export interface ParticipantsOptions extends ParticipantDatabases {
  readonly host: string;
  readonly inventoryPort: number;
  readonly accountsPort: number;
  readonly logger?: Pick<Logger, 'error' | 'warn'>;
  /** Passed the ports `inbox` and `participant` of each; their `consumer` says whose. @default hands them on as they are */
  readonly wrap?: Wrap;
}

/** The sample participants, listening. */
export interface Participants {
  /** Base addresses; messages go to `<url>/messages/<type>`. */
  readonly urls: { readonly inventory: string; readonly accounts: string };
  /** Finishes what is under way and closes everything; stopping twice is stopping once. */
  stop(): Promise<void>;
}

/**
 * Starts both sample participants, or neither. Their databases must be migrated; they may be away for the moment.
 *
 * @throws Error in one clear line when a port cannot be had
 */
export async function startParticipants(options: ParticipantsOptions): Promise<Participants> {
  const { host, logger, wrap } = options;
  const inventory = await serveParticipant({
    consumer: 'inventory',
    databaseUrl: options.inventoryDatabaseUrl,
    host,
    port: options.inventoryPort,
    register: registerInventory,
    logger,
    wrap,
  });
  const accounts = await serveParticipant({
    consumer: 'accounts',
    databaseUrl: options.accountsDatabaseUrl,
    host,
    port: options.accountsPort,
    register: registerAccounts,
    logger,
    wrap,
  }).catch(async (error: unknown) => {
    await inventory.stop();
    throw error;
  });
  return {
    urls: { inventory: inventory.url, accounts: accounts.url },
    stop: () => stopAll([inventory, accounts]),
  };
}

/**
 * Brings both databases to this release; safe when many start at once.
 *
 * @throws Error that names the migration that failed
 */
export async function migrateParticipants(urls: ParticipantDatabases): Promise<void> {
  await migrateParticipant(urls.inventoryDatabaseUrl, inventorySchema);
  await migrateParticipant(urls.accountsDatabaseUrl, accountsSchema);
}

/**
 * Opens the demonstration's stock and accounts: skus `book` (1,000,000), `rare` (1), `sold-out` (0);
 * accounts `c-1` … `c-1000` with 1,000,000.00 EUR each and `c-poor` with nothing. What is there already stays as it is.
 */
export async function seedParticipants(urls: ParticipantDatabases): Promise<void> {
  await seedParticipant(urls.inventoryDatabaseUrl, INVENTORY_SEED);
  await seedParticipant(urls.accountsDatabaseUrl, ACCOUNTS_SEED);
}

async function stopAll(servers: readonly ParticipantServer[]): Promise<void> {
  await Promise.all(servers.map((server) => server.stop()));
}
