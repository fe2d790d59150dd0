import type { Transaction } from '../src/db/pool.js';
import { insertUser, markUserRemoved } from '../src/db/registrations.js';
import type { RegisterUser } from '../src/messages/registrations.js';
import type { LocalContext } from '../src/saga/local-work.js';

/** What registering a user tells the steps after it. */
export interface UserRegistered {
  readonly userId: string;
}

/**
 * Writes the user.
 *
 * @throws RejectedError `user-name-taken`
 */
export async function register(
  tx: Transaction,
  { sagaId, tenantId, input }: LocalContext<RegisterUser>,
): Promise<UserRegistered> {
  return insertUser(tx, { ...input, sagaId, tenantId });
}

/** Gives the user name free; the row stays, so that a person can see what became of it. */
export async function remove(tx: Transaction, { input }: LocalContext<RegisterUser>): Promise<void> {
  await markUserRemoved(tx, input.userId);
}
