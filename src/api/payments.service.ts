import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { PaymentRecord } from '../db/payments.js';
import type { AcceptedSaga } from '../db/saga-store.js';
import type { PayInvoice, PaymentRequest } from '../messages/payments.js';
import { isTerminal } from '../saga/state.js';
import type { Acceptance } from './accept-reply.js';
import { Intake } from './intake.js';
import type { WaitOptions } from './ledger-watcher.js';
import { PARTS, type ApiParts } from './parts.js';
import type { PaymentAcceptedView, PaymentOpenedView, PaymentView } from './payments.schemas.js';
import { ProblemError } from './problems.js';

/** Accepts payments and tells what became of them. */
@Injectable()
export class PaymentsService {
  constructor(
    @Inject(PARTS) private readonly parts: ApiParts,
    @Inject(Intake) private readonly intake: Intake,
  ) {}

  /** How a payment is accepted, and what its client is told. */
  acceptance(payment: PaymentRequest): Acceptance<PaymentAcceptedView, PaymentOpenedView> {
    const input: PayInvoice = { paymentId: `pay_${v7()}`, ...payment };
    return {
      accept: (caller) =>
        this.intake.accept({ ...caller, definition: this.parts.definitions.payInvoice, body: payment, input }),
      accepted: (saga) => ({ sagaId: saga.id, paymentId: inputOf(saga).paymentId, state: 'accepted' }),
      untilDone: (saga, options) => this.untilOpened(saga, options),
      location: (saga) => `/v1/payments/${inputOf(saga).paymentId}`,
    };
  }

  /**
   * One payment of a tenant.
   *
   * @throws ProblemError `not-found`
   */
  async get(key: { tenantId: string; paymentId: string }): Promise<PaymentView> {
    const payment = /^pay_[0-9a-f-]{36}$/.test(key.paymentId) ? await this.find(key) : undefined;
    if (!payment) throw new ProblemError('not-found', 'there is no such payment');
    return {
      ...payment.input,
      sagaId: payment.sagaId,
      status: payment.status ?? (isTerminal(payment.sagaState) ? 'rejected' : 'pending'),
      sagaState: payment.sagaState,
      reason: payment.sagaReason,
      openedAt: payment.openedAt?.toISOString() ?? null,
    };
  }

  private async untilOpened(saga: AcceptedSaga, options: WaitOptions): Promise<PaymentOpenedView | undefined> {
    const { paymentId } = inputOf(saga);
    const refusal = {
      problem: 'payment-rejected',
      members: { paymentId },
      undone: 'the payment was undone before it was opened',
    } as const;
    if (!(await this.intake.untilLocal(saga, refusal, options))) return undefined;
    const payment = await this.find({ tenantId: saga.tenantId, paymentId });
    if (!payment?.openedAt) return undefined;
    // as its transaction committed it, so that a repeated request brings the same answer for ever
    return { ...payment.input, sagaId: saga.id, status: 'opened', openedAt: payment.openedAt.toISOString() };
  }

  private find(key: { tenantId: string; paymentId: string }): Promise<PaymentRecord | undefined> {
    return this.parts.ledger.findPayment({ ...key, sagaType: this.parts.definitions.payInvoice.type });
  }
}

/** Of a repeated request, the first one's. */
function inputOf({ input }: AcceptedSaga): PayInvoice {
  return input as PayInvoice;
}
