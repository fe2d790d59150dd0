import { z } from 'zod';
import { Amount, Currency } from '../messages/fields.js';
import { ACCEPTED, ReasonView, SagaId, SagaStateName, Time } from './view-fields.js';

const PaymentId = z.string().meta({ examples: ['pay_0198c5a0-7e1c-7000-8000-000000000003'] });
const terms = { invoiceId: z.string(), accountId: z.string(), currency: Currency, amount: Amount };

/** The answer to a payment that was accepted. */
export const PaymentAcceptedView = z
  .object({ sagaId: SagaId, paymentId: PaymentId, state: z.literal('accepted') })
  .describe(ACCEPTED);
export type PaymentAcceptedView = z.infer<typeof PaymentAcceptedView>;

/** The answer after the local transaction. */
export const PaymentOpenedView = z
  .object({ sagaId: SagaId, paymentId: PaymentId, status: z.literal('opened'), ...terms, openedAt: Time })
  .describe('The payment as the local transaction committed it; the money is taken asynchronously.');
export type PaymentOpenedView = z.infer<typeof PaymentOpenedView>;

/** A payment and its saga's state. */
export const PaymentView = z.object({
  paymentId: PaymentId,
  sagaId: SagaId,
  status: z
    .enum(['pending', 'opened', 'paid', 'refunded', 'rejected'])
    .describe('pending: its local transaction has not run; rejected: it refused, or never ran and never will.'),
  sagaState: SagaStateName,
  reason: ReasonView.nullable(),
  ...terms,
  openedAt: Time.nullable(),
});
export type PaymentView = z.infer<typeof PaymentView>;
