import { createHash } from 'node:crypto';
import type { Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';
import { SHARDS } from './accounts-schema.js';

/** The same row for the whole saga: what was put there can be taken back from there. */
export function shardOf(kind: 'merchant' | 'holding' | 'fund', sagaId: string): string {
  const shard = createHash('sha256').update(sagaId).digest()[0]! % SHARDS;
  return `${kind}-${String(shard).padStart(2, '0')}`;
}

/** Why a customer's account did not give what was asked of it: to be called once the update has found no row. */
export async function refuseCustomer(
  tx: Transaction,
  { account, currency }: { readonly account: string; readonly currency: string },
): Promise<RejectedError> {
  const { rows } = await tx.query<{ currency: string; isClosed: boolean }>(
    `select currency, closed_at is not null as "isClosed" from accounts.account where id = $1 and kind = 'customer'`,
    [account],
  );
  const found = rows[0];
  if (!found) return new RejectedError('unknown-account', `there is no account '${account}'`);
  if (found.isClosed) return new RejectedError('account-closed', `account '${account}' is closed`);
  if (found.currency !== currency) {
    return new RejectedError(
      'currency-mismatch',
      `account '${account}' is kept in ${found.currency}, not in ${currency}`,
    );
  }
  return new RejectedError('insufficient-funds', `account '${account}' does not cover the amount`);
}
