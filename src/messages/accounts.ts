import { z } from 'zod';
import { defineMessage } from '../saga/message-contract.js';
import { Amount, Currency, text } from './fields.js';

/** What to take from a customer's account for one order, in minor units. */
export const DebitRequest = z.strictObject({
  orderId: text(64),
  account: text(64),
  currency: Currency,
  amount: Amount,
});
export type DebitRequest = z.infer<typeof DebitRequest>;

const refund = defineMessage('accounts.refund', {
  payload: DebitRequest,
  result: z.strictObject({ refunded: z.int() }),
});
const debit = defineMessage('accounts.debit', {
  payload: DebitRequest,
  result: z.strictObject({ entryId: text(200), balance: z.int() }),
  undo: refund,
});

/** What to set aside from a customer's account for one payment, in minor units. */
export const ReserveRequest = z.strictObject({
  paymentId: text(64),
  account: text(64),
  currency: Currency,
  amount: Amount,
});
export type ReserveRequest = z.infer<typeof ReserveRequest>;

/** Which reservation becomes the merchant's. */
export const CaptureRequest = z.strictObject({ paymentId: text(64), reservationId: text(200) });
export type CaptureRequest = z.infer<typeof CaptureRequest>;

/** What to give to a customer's account, which is opened where there is none. */
export const CreditRequest = z.strictObject({
  userId: text(64),
  account: text(64),
  currency: Currency,
  amount: Amount,
});
export type CreditRequest = z.infer<typeof CreditRequest>;

const release = defineMessage('accounts.release', {
  payload: ReserveRequest,
  result: z.strictObject({ released: z.int() }),
});
const reserve = defineMessage('accounts.reserve', {
  payload: ReserveRequest,
  result: z.strictObject({ reservationId: text(200) }),
  undo: release,
});
/** The point of no return of a payment: nothing takes it back, so it is tried for a day before a person is asked. */
const capture = defineMessage('accounts.capture', {
  payload: CaptureRequest,
  result: z.strictObject({ captured: z.int() }),
  kind: 'pivot',
  retry: { cap: '20s', budget: '24h' },
});
const takeBack = defineMessage('accounts.take-back', {
  payload: CreditRequest,
  result: z.strictObject({ takenBack: z.int() }),
});
const credit = defineMessage('accounts.credit', {
  payload: CreditRequest,
  result: z.strictObject({ entryId: text(200), balance: z.int() }),
  undo: takeBack,
});

/** The messages of the accounts service. */
export const accounts = { debit, refund, reserve, release, capture, credit, takeBack } as const;
