import { accounts } from '../messages/index.js';
import type { CaptureRequest, ReserveRequest } from '../messages/accounts.js';
import type { Message, ParticipantBuilder, Transaction } from '../participant/index.js';
import { RejectedError } from '../saga/errors.js';
import { refuseCustomer, shardOf } from './accounts-customers.js';

/**
 * The accounts service's part in payments. Money that is reserved stands on a holding account, so that every entry has its
 * counterpart at every moment:
 * ```
 * customer ──reserve──▶ holding ──capture──▶ merchant
 *     ▲                    │
 *     └──────release───────┘      held ─▶ captured | released, never both
 * ```
 * Every transfer locks in this order: customer, holding, merchant; so no two of them wait for each other.
 */
export function registerAccountsForPayments(participant: ParticipantBuilder): ParticipantBuilder {
  return participant
    .handle(accounts.reserve, reserve)
    .handle(accounts.release, release)
    .handle(accounts.capture, capture);
}

/**
 * Sets money aside.
 *
 * @throws RejectedError `unknown-account`, `account-closed`, `currency-mismatch` or `insufficient-funds`
 */
async function reserve(tx: Transaction, payment: ReserveRequest, message: Message): Promise<{ reservationId: string }> {
  const { rows } = await tx.query<{ entries: number }>({
    name: 'accounts-reserve',
    text: `
      with customer as (
        update accounts.account set balance = balance - $3::bigint
         where id = $1 and kind = 'customer' and closed_at is null and currency = $4
           and (allow_negative or balance >= $3::bigint)
        returning id
      ), holding as (
        update accounts.account set balance = balance + $3::bigint
         where id = $2 and currency = $4 and exists (select from customer)
        returning id
      ), reservation as (
        insert into accounts.reservation (effect_key, saga_id, account_id, holding_id, currency, amount, status)
        select $5, $6, customer.id, holding.id, $4, $3::bigint, 'held' from customer, holding
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $5, id, -$3::bigint, $6, $7, 'do' from customer
        union all select $5, id, $3::bigint, $6, $7, 'do' from holding
        returning account_id
      )
      select count(*) as entries from entries`,
    values: [
      payment.account,
      shardOf('holding', message.sagaId),
      payment.amount,
      payment.currency,
      message.effectKey,
      message.sagaId,
      message.effect.step,
    ],
  });
  const { entries } = rows[0]!;
  if (entries === 0) throw await refuseCustomer(tx, payment);
  if (entries !== 2) throw new RejectedError('currency-mismatch', `nothing is held in ${payment.currency}`);
  return { reservationId: message.effectKey };
}

/** Gives back what the `do` of the same step set aside. */
async function release(tx: Transaction, _payment: ReserveRequest, message: Message): Promise<{ released: number }> {
  const { rows } = await tx.query<{ released: number; entries: number }>({
    name: 'accounts-release',
    text: `
      with reservation as (
        update accounts.reservation set status = 'released' where effect_key = $1 and status = 'held'
        returning account_id, holding_id, amount
      ), customer as (
        update accounts.account set balance = balance + reservation.amount from reservation where id = reservation.account_id
        returning id, reservation.amount
      ), holding as (
        update accounts.account set balance = balance - reservation.amount
          from reservation where id = reservation.holding_id and exists (select from customer)
        returning id, -reservation.amount as amount
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $2, id, amount, $3, $4, 'undo' from customer
        union all select $2, id, amount, $3, $4, 'undo' from holding
        returning amount
      )
      select coalesce(sum(amount) filter (where amount > 0), 0)::bigint as released, count(*) as entries from entries`,
    values: [message.doKey, message.effectKey, message.sagaId, message.effect.step],
  });
  const { released, entries } = rows[0]!;
  if (entries !== 2)
    throw new Error(`'${message.doKey}' is in the inbox but has no reservation to release; look into both`);
  return { released };
}

/**
 * Hands what is reserved to the merchant, for good.
 *
 * @throws RejectedError `no-reservation` when nothing is held under that id for the same saga
 */
async function capture(
  tx: Transaction,
  { reservationId }: CaptureRequest,
  message: Message,
): Promise<{ captured: number }> {
  const { rows } = await tx.query<{ captured: number; entries: number }>({
    name: 'accounts-capture',
    text: `
      with reservation as (
        update accounts.reservation set status = 'captured' where effect_key = $1 and saga_id = $4 and status = 'held'
        returning holding_id, amount
      ), holding as (
        update accounts.account set balance = balance - reservation.amount from reservation where id = reservation.holding_id
        returning id, currency, reservation.amount
      ), merchant as (
        update accounts.account set balance = balance + holding.amount
          from holding where account.id = $2 and account.currency = holding.currency
        returning account.id, holding.amount
      ), entries as (
        insert into accounts.entry (effect_key, account_id, amount, saga_id, step, action)
        select $3, id, -amount, $4, $5, 'do' from holding
        union all select $3, id, amount, $4, $5, 'do' from merchant
        returning amount
      )
      select coalesce(sum(amount) filter (where amount > 0), 0)::bigint as captured, count(*) as entries from entries`,
    values: [
      reservationId,
      shardOf('merchant', message.sagaId),
      message.effectKey,
      message.sagaId,
      message.effect.step,
    ],
  });
  const { captured, entries } = rows[0]!;
  if (entries === 0) throw new RejectedError('no-reservation', `nothing is held as '${reservationId}'`);
  if (entries !== 2) throw new RejectedError('currency-mismatch', `the merchant does not take what is held`);
  return { captured };
}
