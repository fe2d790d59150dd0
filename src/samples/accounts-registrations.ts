import { accounts } from '../messages/index.js';
import type { CreditRequest } from '../messages/accounts.js';
import type { Message, ParticipantBuilder, Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';
import { refuseCustomer, shardOf } from './accounts-customers.js';

/** The accounts service's part in registrations: a credit from the fund, and taking it back. Locks the customer, then the fund. */
export function registerAccountsForRegistrations(participant: ParticipantBuilder): ParticipantBuilder {
  return participant.handle(accounts.credit, credit).handle(accounts.takeBack, takeBack);
}

/**
 * Gives a credit; opens the account where there is none.
 *
 * @throws RejectedError `account-closed`, `currency-mismatch`
 */
async function credit(
  tx: Transaction,
  request: CreditRequest,
  message: Message,
): Promise<{ entryId: string; balance: number }> {
  await tx.query({
    name: 'accounts-open',
    text: `insert into accounts.account (id, kind, currency, opening, balance, opened_by)
           values ($1, 'customer', $2, 0, 0, $3) on conflict (id) do nothing`,
    values: [request.account, request.currency, message.effectKey],
  });
  const { rows } = await tx.query<{ balance: number; entries: number }>({
    name: 'accounts-credit',
    text: `
      with customer as (
        update accounts.account set balance = balance + $3::bigint
         where id = $1 and kind = 'customer' and closed_at is null and currency = $4
        returning id, balance
      ), fund as (
        update accounts.account set balance = balance - $3::bigint
         where id = $2 and currency = $4 and exists (select from customer)
        returning id
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $5, id, $3::bigint, $6, $7, 'do' from customer
        union all select $5, id, -$3::bigint, $6, $7, 'do' from fund
        returning account_id
      )
      select balance, (select count(*) from entries) as entries from customer`,
    values: [
      request.account,
      shardOf('fund', message.sagaId),
      request.amount,
      request.currency,
      message.effectKey,
      message.sagaId,
      message.effect.step,
    ],
  });
  const given = rows[0];
  if (!given) throw await refuseCustomer(tx, request);
  if (given.entries !== 2) throw new RejectedError('currency-mismatch', `the fund gives no ${request.currency}`);
  return { entryId: message.effectKey, balance: given.balance };
}

/**
 * Takes back what the `do` of the same step gave, and closes the account if that opened it. A compensation may not fail:
 * what was spent meanwhile is left as the closed account's debt.
 */
async function takeBack(tx: Transaction, _request: CreditRequest, message: Message): Promise<{ takenBack: number }> {
  const { rows } = await tx.query<{ takenBack: number; entries: number }>({
    name: 'accounts-take-back',
    text: `
      with given as materialized (
        select account_id, amount from accounts.entry where effect_key = $1
      ), customer as (
        update accounts.account
           set balance = balance - given.amount,
               allow_negative = allow_negative or opened_by is not distinct from $1,
               closed_at = case when opened_by = $1 then clock_timestamp() else closed_at end
          from given where id = given.account_id and kind = 'customer'
        returning id, -given.amount as amount
      ), fund as (
        update accounts.account set balance = balance - given.amount
          from given where id = given.account_id and kind = 'fund' and exists (select from customer)
        returning id, -given.amount as amount
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $2, id, amount, $3, $4, 'undo' from customer
        union all select $2, id, amount, $3, $4, 'undo' from fund
        returning amount
      )
      select coalesce(sum(amount) filter (where amount > 0), 0)::bigint as "takenBack", count(*) as entries from entries`,
    values: [message.doKey, message.effectKey, message.sagaId, message.effect.step],
  });
  const { takenBack, entries } = rows[0]!;
  if (entries !== 2) {
    throw new Error(`'${message.doKey}' is in the inbox but its entries cannot be reversed; look into both`);
  }
  return { takenBack };
}
