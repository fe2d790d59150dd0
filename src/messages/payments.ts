import { z } from 'zod';
import { Amount, Currency, text } from './fields.js';

/** The body of `POST /v1/payments`: which invoice, from which account; the amount in minor units. */
export const PaymentRequest = z.strictObject({
  invoiceId: text(64),
  accountId: text(64),
  currency: Currency,
  amount: Amount,
});
export type PaymentRequest = z.infer<typeof PaymentRequest>;

/** The input of the saga `pay-invoice`. */
export const PayInvoice = z.strictObject({ paymentId: text(64), ...PaymentRequest.shape });
export type PayInvoice = z.infer<typeof PayInvoice>;
