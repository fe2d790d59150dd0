import type { Config } from '../config.js';

/** The databases of the sample participants, by the names of their settings. */
export function participantSettings(config: Config): Readonly<Record<string, string | undefined>> {
  return {
    SETTLE_INVENTORY_DATABASE_URL: config.inventoryDatabaseUrl,
    SETTLE_ACCOUNTS_DATABASE_URL: config.accountsDatabaseUrl,
    SETTLE_PROFILES_DATABASE_URL: config.profilesDatabaseUrl,
  };
}

/** Joined; empty where all are set. */
export function namesOfUnset(settings: Readonly<Record<string, string | undefined>>): string {
  const unset = Object.entries(settings).filter(([, value]) => value === undefined);
  return unset.map(([name]) => name).join(', ');
}
