import type { Config } from '../config.js';
import { HORIZONS } from '../horizons.js';
import { checkDatabase } from '../reach.js';
import type { RolesOptions, RunningRoles, Stop } from '../roles.js';
import { resendMs } from '../saga/windows.js';
import { sampleConsumers } from '../samples/consumers.js';
import { startParticipants, type ParticipantDatabases } from '../samples/participants.js';
import { namesOfUnset, participantSettings } from './settings.js';

/** Starts the sample participants. */
export async function addParticipants(
  { config, logger, wrap }: RolesOptions,
  stops: Stop[],
): Promise<RunningRoles['urls']> {
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

/** @throws Error, one line, when one of the databases is not named or does not answer */
export async function checkParticipantDatabases(config: Config): Promise<ParticipantDatabases> {
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
