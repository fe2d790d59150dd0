import type * as paymentsWork from '../activities/payments.js';
import { accounts } from '../src/messages/accounts.js';
import { PayInvoice } from '../src/messages/payments.js';
import { defineSaga } from '../src/saga/define-saga.js';
import { localWork } from '../src/saga/local-work.js';
import { sagaWorkflow } from './saga-runner.js';

const payments = localWork<typeof paymentsWork>('payments');

/**
 * Pays an invoice: the payment's row, the money set aside, the money taken, the invoice marked as paid.
 * Taking the money is the pivot. Until then everything is undone: `accounts.release`, `payments.refund`;
 * from then on the saga only goes forward.
 */
export const payInvoiceSaga = defineSaga('pay-invoice', {
  input: PayInvoice,
  businessKey: (payment) => payment.paymentId,
  deadline: '15m',
})
  .local('payment', payments.open, { undo: payments.refund })
  .message('reservation', accounts.reserve, ({ input }) => ({
    paymentId: input.paymentId,
    account: input.accountId,
    currency: input.currency,
    amount: input.amount,
  }))
  .message('capture', accounts.capture, ({ input, reservation }) => ({
    paymentId: input.paymentId,
    reservationId: reservation.reservationId,
  }))
  .local('invoice', payments.settleInvoice)
  .build();

/** The workflow of `pay-invoice`, by the name that the Temporal Web UI shows. */
export const payInvoice = sagaWorkflow(payInvoiceSaga);
