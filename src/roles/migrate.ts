import { createClient, ensureSearchAttributes } from '../api/temporal.js';
import type { Config } from '../config.js';
import { migrate } from '../db/migrate.js';
import { seedCustomers } from '../db/orders.js';
import { seedInvoices } from '../db/payments.js';
import { createPool, withTransaction, type Transaction } from '../db/pool.js';
import { checkDatabase } from '../reach.js';
import { migrateParticipants, seedParticipants } from '../samples/participants.js';
import { checkParticipantDatabases } from './participants.js';
import { participantSettings } from './settings.js';
import { connectTemporal } from './temporal.js';

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

async function seedProducer(url: string): Promise<void> {
  const pool = createPool(url, { max: 1, name: 'settle-seed' });
  const seed = async (tx: Transaction): Promise<void> => {
    await seedCustomers(tx);
    await seedInvoices(tx);
  };
  await withTransaction(pool, seed).finally(() => pool.end());
}
