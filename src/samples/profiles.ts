import { preferences, profiles } from '../messages/index.js';
import type { PreferencesRequest, ProfileRequest, WelcomeRequest } from '../messages/profiles.js';
import type { Message, ParticipantBuilder, Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';

/** The profiles service: keeps what a user says of himself, and writes to him. */
export function registerProfiles(participant: ParticipantBuilder): ParticipantBuilder {
  return participant
    .handle(profiles.create, createProfile)
    .handle(profiles.delete, (tx, _user, message) => deleteRow(tx, 'profile', message))
    .handle(preferences.create, createPreferences)
    .handle(preferences.delete, (tx, _user, message) => deleteRow(tx, 'preferences', message))
    .handle(profiles.sendWelcome, sendWelcome);
}

/** @throws RejectedError `email-taken` */
async function createProfile(tx: Transaction, user: ProfileRequest, message: Message): Promise<{ profileId: string }> {
  const { rowCount } = await tx.query({
    name: 'profiles-create',
    text: `insert into profiles.profile (effect_key, saga_id, tenant_id, user_id, user_name, email, status)
           values ($1, $2, $3, $4, $5, $6, 'active')
           on conflict (tenant_id, lower(email)) where status = 'active' do nothing`,
    values: [message.effectKey, message.sagaId, message.tenantId, user.userId, user.userName, user.email],
  });
  if (rowCount === 0) throw new RejectedError('email-taken', `'${user.email}' belongs to another profile`);
  return { profileId: message.effectKey };
}

/** @throws RejectedError `preferences-exist` */
async function createPreferences(
  tx: Transaction,
  { userId, language }: PreferencesRequest,
  message: Message,
): Promise<{ preferencesId: string }> {
  const { rowCount } = await tx.query({
    name: 'preferences-create',
    text: `insert into profiles.preferences (effect_key, saga_id, user_id, language, status)
           values ($1, $2, $3, $4, 'active') on conflict (user_id) where status = 'active' do nothing`,
    values: [message.effectKey, message.sagaId, userId, language],
  });
  if (rowCount === 0) throw new RejectedError('preferences-exist', `user '${userId}' has preferences already`);
  return { preferencesId: message.effectKey };
}

/** Deletes what the `do` of the same step created. */
async function deleteRow(
  tx: Transaction,
  table: 'profile' | 'preferences',
  { doKey }: Message,
): Promise<{ deleted: number }> {
  const { rowCount } = await tx.query({
    name: `profiles-delete-${table}`,
    text: `update profiles.${table} set status = 'deleted' where effect_key = $1 and status = 'active'`,
    values: [doKey],
  });
  if (rowCount !== 1) throw new Error(`'${doKey}' is in the inbox but its row is not active; look into both`);
  return { deleted: 1 };
}

/** Hands the mail to the mail server's queue, in the transaction of the inbox: once, however often it is asked. */
async function sendWelcome(tx: Transaction, user: WelcomeRequest, message: Message): Promise<{ mailId: string }> {
  await tx.query({
    name: 'profiles-send-welcome',
    text: `insert into profiles.mail (effect_key, saga_id, user_id, recipient, template)
           values ($1, $2, $3, $4, 'welcome')`,
    values: [message.effectKey, message.sagaId, user.userId, user.email],
  });
  return { mailId: message.effectKey };
}
