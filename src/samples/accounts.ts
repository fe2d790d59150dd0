import { accounts } from '../messages/index.js';
import type { DebitRequest } from '../messages/accounts.js';
import type { Message, ParticipantBuilder, Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';
import { refuseCustomer, shardOf } from './accounts-customers.js';
import { registerAccountsForPayments } from './accounts-payments.js';
import { registerAccountsForRegistrations } from './accounts-registrations.js';

/** The accounts service: moves money from a customer to the merchant, and back; at once, or by way of a reservation. */
export function registerAccounts(participant: ParticipantBuilder): ParticipantBuilder {
  participant.handle(accounts.debit, debit).handle(accounts.refund, refund);
  return registerAccountsForRegistrations(registerAccountsForPayments(participant));
}

/**
 * Takes money from a customer's account. Every transfer locks the customer first and the merchant second,
 * so that two transfers never wait for each other.
 *
 * @throws RejectedError `unknown-account`, `account-closed`, `currency-mismatch` or `insufficient-funds`
 */
async function debit(
  tx: Transaction,
  order: DebitRequest,
  message: Message,
): Promise<{ entryId: string; balance: number }> {
  const merchant = shardOf('merchant', message.sagaId);
  const { rows } = await tx.query<{ balance: number; accounts: number }>({
    name: 'accounts-debit',
    text: `
      with customer as (
        update accounts.account set balance = balance - $3::bigint
         where id = $1 and kind = 'customer' and closed_at is null and currency = $4
           and (allow_negative or balance >= $3::bigint)
        returning id, balance
      ), merchant as (
        update accounts.account set balance = balance + $3::bigint
         where id = $2 and currency = $4 and exists (select from customer)
        returning id
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $5, id, -$3::bigint, $6, $7, 'do' from customer
        union all select $5, id, $3::bigint, $6, $7, 'do' from merchant
        returning account_id
      )
      select balance, (select count(*) from entries) as accounts from customer`,
    values: [
      order.account,
      merchant,
      order.amount,
      order.currency,
      message.effectKey,
      message.sagaId,
      message.effect.step,
    ],
  });
  const moved = rows[0];
  if (!moved) throw await refuseCustomer(tx, order);
  if (moved.accounts !== 2) throw new RejectedError('currency-mismatch', `the merchant takes no ${order.currency}`);
  return { entryId: message.effectKey, balance: moved.balance };
}

/** Gives back what the `do` of the same step took, to the accounts it was taken from. */
async function refund(tx: Transaction, _order: DebitRequest, message: Message): Promise<{ refunded: number }> {
  const { rows } = await tx.query<{ refunded: number; total: number }>({
    name: 'accounts-refund',
    text: `
      with taken as materialized (
        select account_id, amount from accounts.entry where effect_key = $1
      ), customer as (
        update accounts.account set balance = balance - taken.amount from taken where id = taken.account_id and kind = 'customer'
        returning id, -taken.amount as amount
      ), merchant as (
        update accounts.account set balance = balance - taken.amount
          from taken where id = taken.account_id and kind = 'merchant' and exists (select from customer)
        returning id, -taken.amount as amount
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $2, id, amount, $3, $4, 'undo' from customer
        union all select $2, id, amount, $3, $4, 'undo' from merchant
        returning amount
      )
      select coalesce(sum(amount) filter (where amount > 0), 0)::bigint as refunded,
             coalesce(sum(amount), 0)::bigint as total from entries`,
    values: [message.doKey, message.effectKey, message.sagaId, message.effect.step],
  });
  const { refunded, total } = rows[0]!;
  if (refunded === 0 || total !== 0) {
    throw new Error(`'${message.doKey}' is in the inbox but its entries cannot be reversed; look into both`);
  }
  return { refunded };
}
