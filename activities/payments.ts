import { insertPayment, markInvoicePaid, markPaymentRefunded } from '../src/db/payments.js';
import type { Transaction } from '../src/db/pool.js';
import type { PayInvoice } from '../src/messages/payments.js';
import type { LocalContext } from '../src/saga/local-work.js';

/** What opening a payment tells the steps after it. */
export interface PaymentOpened {
  readonly paymentId: string;
}

/**
 * Opens the payment of an invoice; an invoice has one at a time.
 *
 * @throws RejectedError `unknown-invoice`, `currency-mismatch`, `amount-mismatch`, `invoice-taken`
 */
export async function open(
  tx: Transaction,
  { sagaId, tenantId, input }: LocalContext<PayInvoice>,
): Promise<PaymentOpened> {
  return insertPayment(tx, { ...input, sagaId, tenantId });
}

/** Gives the invoice free for another payment; the row stays, so that a person can see what became of it. */
export async function refund(tx: Transaction, { input }: LocalContext<PayInvoice>): Promise<void> {
  await markPaymentRefunded(tx, input.paymentId);
}

/** Marks invoice and payment as paid: the money has been taken. */
export async function settleInvoice(tx: Transaction, { input }: LocalContext<PayInvoice>): Promise<void> {
  await markInvoicePaid(tx, input.paymentId);
}
