import { z } from 'zod';
import { defineMessage } from '../saga/message-contract.js';
import { text } from './fields.js';
import { Email, UserName } from './registrations.js';

/** The profile that a new user begins with. */
export const ProfileRequest = z.strictObject({ userId: text(64), userName: UserName, email: Email });
export type ProfileRequest = z.infer<typeof ProfileRequest>;

/** Whose preferences are to be created, and in which language. */
export const PreferencesRequest = z.strictObject({ userId: text(64), language: z.string().regex(/^[a-z]{2}$/) });
export type PreferencesRequest = z.infer<typeof PreferencesRequest>;

/** Who is to be welcomed. */
export const WelcomeRequest = z.strictObject({ userId: text(64), userName: UserName, email: Email });
export type WelcomeRequest = z.infer<typeof WelcomeRequest>;

const Deleted = z.strictObject({ deleted: z.int() });

const deleteProfile = defineMessage('profiles.delete', { payload: ProfileRequest, result: Deleted });
const createProfile = defineMessage('profiles.create', {
  payload: ProfileRequest,
  result: z.strictObject({ profileId: text(200) }),
  undo: deleteProfile,
});
const deletePreferences = defineMessage('preferences.delete', { payload: PreferencesRequest, result: Deleted });
const createPreferences = defineMessage('preferences.create', {
  payload: PreferencesRequest,
  result: z.strictObject({ preferencesId: text(200) }),
  undo: deletePreferences,
});
const sendWelcome = defineMessage('profiles.send-welcome', {
  payload: WelcomeRequest,
  result: z.strictObject({ mailId: text(200) }),
});

/** The messages of the profiles service. A mail that was sent cannot be taken back, so its message has no undo. */
export const profiles = { create: createProfile, delete: deleteProfile, sendWelcome } as const;

/** The messages about preferences, which the profiles service keeps too. */
export const preferences = { create: createPreferences, delete: deletePreferences } as const;
