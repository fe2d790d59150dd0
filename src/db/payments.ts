import type pg from 'pg';
import type { PayInvoice } from '../messages/payments.js';
import { RejectedError, type Reason } from '../saga/errors.js';
import type { SagaState } from '../saga/state.js';
import type { Transaction } from './pool.js';

/** A payment to be opened, and for whom. */
export interface NewPayment extends PayInvoice {
  readonly sagaId: string;
  readonly tenantId: string;
}

/**
 * Writes the payment's row, in the transaction of its step.
 *
 * @throws RejectedError `unknown-invoice`, `currency-mismatch`, `amount-mismatch`, or `invoice-taken` when another payment of it
 *   is under way or done
 */
export async function insertPayment(tx: Transaction, payment: NewPayment): Promise<{ paymentId: string }> {
  await checkInvoice(tx, payment);
  const { paymentId, sagaId, tenantId, invoiceId, accountId, currency, amount } = payment;
  const { rowCount } = await tx.query({
    name: 'insert-payment',
    text: `insert into billing.payment (payment_id, saga_id, tenant_id, invoice_id, account_id, currency, amount, status)
           values ($1, $2, $3, $4, $5, $6, $7, 'opened')
           on conflict (invoice_id) where status <> 'refunded' do nothing`,
    values: [paymentId, sagaId, tenantId, invoiceId, accountId, currency, amount],
  });
  if (rowCount === 0) {
    throw new RejectedError('invoice-taken', `invoice '${invoiceId}' is paid, or being paid by another payment`);
  }
  return { paymentId };
}

async function checkInvoice(tx: Transaction, { invoiceId, currency, amount }: NewPayment): Promise<void> {
  const { rows } = await tx.query<{ currency: string; amount: number }>({
    name: 'find-invoice',
    text: 'select currency, amount from billing.invoice where id = $1',
    values: [invoiceId],
  });
  const [invoice] = rows;
  if (!invoice) throw new RejectedError('unknown-invoice', `there is no invoice '${invoiceId}'`);
  if (invoice.currency !== currency) {
    throw new RejectedError('currency-mismatch', `invoice '${invoiceId}' is in ${invoice.currency}, not ${currency}`);
  }
  if (invoice.amount !== amount) {
    throw new RejectedError('amount-mismatch', `invoice '${invoiceId}' is over ${invoice.amount}, not ${amount}`);
  }
}

/** Marks a payment as refunded, which gives its invoice free; one that is refunded stays so. */
export async function markPaymentRefunded(tx: Transaction, paymentId: string): Promise<void> {
  await tx.query(`update billing.payment set status = 'refunded' where payment_id = $1 and status = 'opened'`, [
    paymentId,
  ]);
}

/**
 * Marks a payment and its invoice as paid, in one statement.
 *
 * @throws Error when the payment was refunded, which the pivot makes impossible
 */
export async function markInvoicePaid(tx: Transaction, paymentId: string): Promise<void> {
  const { rowCount } = await tx.query({
    name: 'mark-invoice-paid',
    text: `with payment as (
             update billing.payment set status = 'paid' where payment_id = $1 and status = 'opened' returning invoice_id)
           update billing.invoice set status = 'paid', paid_at = clock_timestamp()
             from payment where id = payment.invoice_id and invoice.status = 'open'`,
    values: [paymentId],
  });
  if (rowCount === 0) throw new Error(`payment '${paymentId}' is not open, or its invoice is not; look into both`);
}

/** A payment: what was asked for, and the row that the local transaction wrote, where it has. */
export interface PaymentRecord {
  readonly sagaId: string;
  readonly input: PayInvoice;
  readonly sagaState: SagaState;
  readonly sagaReason: Reason | null;
  /** Null before the local transaction, and for ever when it refused. */
  readonly status: 'opened' | 'paid' | 'refunded' | null;
  readonly openedAt: Date | null;
}

/** One payment of a tenant, found by its saga's business key, or undefined. */
export async function findPayment(
  pool: pg.Pool,
  { tenantId, sagaType, paymentId }: { tenantId: string; sagaType: string; paymentId: string },
): Promise<PaymentRecord | undefined> {
  const { rows } = await pool.query<PaymentRecord>({
    name: 'find-payment',
    text: `select s.id as "sagaId", s.input, s.state as "sagaState", s.reason as "sagaReason",
                  p.status, p.opened_at as "openedAt"
             from settle.saga s left join billing.payment p on p.saga_id = s.id
            where s.tenant_id = $1 and s.business_key = $2 and s.type = $3`,
    values: [tenantId, paymentId, sagaType],
  });
  return rows[0];
}

/** Writes the sample's invoices, `i-1` … `i-1000` over 50.00 EUR each; existing rows are left as they are. */
export async function seedInvoices(tx: Transaction): Promise<void> {
  await tx.query(
    `insert into billing.invoice (id, currency, amount) select 'i-' || n, 'EUR', 5000 from generate_series(1, 1000) as n
     on conflict (id) do nothing`,
  );
}
