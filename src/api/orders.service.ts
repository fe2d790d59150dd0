import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { OrderRecord } from '../db/order-queries.js';
import type { AcceptedSaga } from '../db/saga-store.js';
import { totalOf, type OrderRequest, type PlaceFirstOrder, type PlaceOrder } from '../messages/orders.js';
import { isTerminal } from '../saga/state.js';
import type { Acceptance } from './accept-reply.js';
import { Intake } from './intake.js';
import type { WaitOptions } from './ledger-watcher.js';
import { PARTS, type ApiParts, type StartableDefinition } from './parts.js';
import { ProblemError } from './problems.js';
import type { AcceptedView, OrderView, PlacedView } from './schemas.js';

interface OrderSaga {
  readonly definition: StartableDefinition<PlaceOrder>;
  readonly input: PlaceOrder;
}

/** Accepts orders and tells what became of them. */
@Injectable()
export class OrdersService {
  constructor(
    @Inject(PARTS) private readonly parts: ApiParts,
    @Inject(Intake) private readonly intake: Intake,
  ) {}

  /** How an order is accepted, and what its client is told. */
  acceptance(order: OrderRequest): Acceptance<AcceptedView, PlacedView> {
    return {
      accept: (caller) => this.intake.accept({ ...caller, body: order, ...this.sagaOf(order) }),
      accepted: (saga) => ({ sagaId: saga.id, orderId: orderIdOf(saga), state: 'accepted' }),
      untilDone: (saga, options) => this.untilPlaced(saga, options),
      location: (saga) => `/v1/orders/${orderIdOf(saga)}`,
    };
  }

  /**
   * One order of a tenant.
   *
   * @throws ProblemError `not-found`
   */
  async get(key: { tenantId: string; orderId: string }): Promise<OrderView> {
    const order = /^ord_[0-9a-f-]{36}$/.test(key.orderId) ? await this.find(key) : undefined;
    if (!order) throw new ProblemError('not-found', 'there is no such order');
    const { customerId, currency, items } = order.input;
    return {
      orderId: key.orderId,
      sagaId: order.sagaId,
      status: order.status ?? (isTerminal(order.sagaState) ? 'rejected' : 'pending'),
      sagaState: order.sagaState,
      reason: order.sagaReason,
      customerId,
      currency,
      items,
      total: order.total ?? totalOf(items),
      placedAt: order.placedAt?.toISOString() ?? null,
    };
  }

  /** Which saga places it: a new customer is registered first, and some orders wait for an approval. */
  private sagaOf({ customerId, registration, needsApproval, ...lines }: OrderRequest): OrderSaga {
    const { placeOrder, placeFirstOrder, placeApprovedOrder } = this.parts.definitions;
    const orderId = `ord_${v7()}`;
    if (registration) {
      const input: PlaceFirstOrder = { orderId, customerId: `usr_${v7()}`, ...lines, registration };
      return { definition: placeFirstOrder as StartableDefinition<PlaceOrder>, input };
    }
    const definition = needsApproval ? placeApprovedOrder : placeOrder;
    return { definition, input: { orderId, customerId: customerId!, ...lines } };
  }

  private async untilPlaced(saga: AcceptedSaga, options: WaitOptions): Promise<PlacedView | undefined> {
    const orderId = orderIdOf(saga);
    const refusal = {
      problem: 'order-rejected',
      members: { orderId },
      undone: 'the order was undone before it was placed',
    } as const;
    if (!(await this.intake.untilLocal(saga, refusal, options))) return undefined;
    const order = await this.find({ tenantId: saga.tenantId, orderId });
    return order && placedView(orderId, order);
  }

  private find(key: { tenantId: string; orderId: string }): Promise<OrderRecord | undefined> {
    const { placeOrder, placeFirstOrder, placeApprovedOrder } = this.parts.definitions;
    const sagaTypes = [placeOrder, placeFirstOrder, placeApprovedOrder].map(({ type }) => type);
    return this.parts.ledger.findOrder({ ...key, sagaTypes });
  }
}

/** Of a repeated request, the first one's. */
function orderIdOf({ input }: AcceptedSaga): string {
  return (input as PlaceOrder).orderId;
}

/** The order as its transaction committed it, so that a repeated request brings the same answer for ever. */
function placedView(orderId: string, { sagaId, input, total, placedAt }: OrderRecord): PlacedView | undefined {
  if (total === null || placedAt === null) return undefined;
  const { customerId, currency, items } = input;
  return { sagaId, orderId, status: 'placed', customerId, currency, items, total, placedAt: placedAt.toISOString() };
}
