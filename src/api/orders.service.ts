import { Inject, Injectable } from '@nestjs/common';
import { v7 } from 'uuid';
import type { OrderRecord } from '../db/order-queries.js';
import type { AcceptedSaga } from '../db/saga-store.js';
import { totalOf, type OrderRequest, type PlaceOrder } from '../messages/orders.js';
import { effectKey, sagaId } from '../saga/ids.js';
import { allSteps } from '../saga/plan.js';
import { isTerminal } from '../saga/state.js';
import { hashOf } from './canonical-json.js';
import type { WaitOptions } from './ledger-watcher.js';
import { PARTS, type ApiParts } from './parts.js';
import { ProblemError } from './problems.js';
import type { OrderView, PlacedView } from './schemas.js';

/** An order as a client asks for it. */
export interface OrderCall {
  readonly tenantId: string;
  readonly idempotencyKey: string;
  readonly order: OrderRequest;
}

/** Accepts orders and tells what became of them. */
@Injectable()
export class OrdersService {
  constructor(@Inject(PARTS) private readonly parts: ApiParts) {}

  /**
   * Stores the saga of an order, or finds the one that the same request was accepted for; once this returns, it settles.
   *
   * @throws ProblemError `backlog-full`, or `idempotency-key-reused` when the key belongs to another request
   */
  async accept({ tenantId, idempotencyKey, order }: OrderCall): Promise<AcceptedSaga> {
    const { backlog, ledger, starter, metrics, definitions } = this.parts;
    const { type, businessKey, plan } = definitions.placeOrder;
    await backlog.admit({ tenantId, idempotencyKey });
    const input: PlaceOrder = { orderId: `ord_${v7()}`, ...order };
    const requestHash = hashOf({ type, body: order });
    const saga = await ledger.acceptSaga({
      id: sagaId(v7()),
      tenantId,
      idempotencyKey,
      requestHash,
      type,
      businessKey: businessKey(input),
      plan,
      input,
    });
    if (saga.requestHash !== requestHash) {
      throw new ProblemError('idempotency-key-reused', 'this Idempotency-Key was accepted with another request');
    }
    if (saga.replayed) metrics.countReplayed(type);
    else {
      metrics.countAccepted(type);
      starter.startSoon(saga);
    }
    return saga;
  }

  /**
   * Waits for an order's local transaction.
   *
   * @returns the order as it was placed, or undefined when the time is over
   * @throws ProblemError `order-rejected` when it refused, or will never run
   */
  async untilPlaced(saga: AcceptedSaga, options: WaitOptions): Promise<PlacedView | undefined> {
    const { watcher } = this.parts;
    const local = allSteps(saga.plan).find(({ type }) => type === 'local');
    if (!local || !watcher.hasRoom()) return undefined;
    const key = effectKey({ sagaId: saga.id, step: local.name, action: 'do' });
    const end = await watcher.untilEffectEnds({ sagaId: saga.id, effectKey: key }, options);
    if (!end) return undefined;
    const { orderId } = saga.input as PlaceOrder;
    if (end.status !== 'applied') {
      const reason = end.reason ?? { code: 'compensated', message: 'the order was undone before it was placed' };
      throw new ProblemError('order-rejected', reason.message, { members: { sagaId: saga.id, orderId, reason } });
    }
    const order = await this.find({ tenantId: saga.tenantId, orderId });
    return order && placedView(orderId, order);
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

  private find(key: { tenantId: string; orderId: string }): Promise<OrderRecord | undefined> {
    return this.parts.ledger.findOrder({ ...key, sagaType: this.parts.definitions.placeOrder.type });
  }
}

/** The order as its transaction committed it, so that a repeated request brings the same answer for ever. */
function placedView(orderId: string, { sagaId, input, total, placedAt }: OrderRecord): PlacedView | undefined {
  if (total === null || placedAt === null) return undefined;
  const { customerId, currency, items } = input;
  return { sagaId, orderId, status: 'placed', customerId, currency, items, total, placedAt: placedAt.toISOString() };
}
