import { v7 as uuidv7 } from 'uuid';
import type pg from 'pg';
import type { LocalEffect } from '../../src/db/local-effects.js';
import { insertOrder, markOrderCancelled } from '../../src/db/orders.js';
import { acceptSaga, type NewSaga } from '../../src/db/saga-store.js';
import type { PlaceOrder } from '../../src/messages/orders.js';
import { sagaId } from '../../src/saga/ids.js';
import { placeOrderSaga } from '../../workflows/orders.js';

/** A saga that nobody has accepted yet: an order of one book by customer `c-1`. */
export function newSaga(change: Partial<NewSaga> = {}): NewSaga {
  const id = sagaId(uuidv7());
  const orderId = `ord_${uuidv7()}`;
  return {
    id,
    tenantId: 'default',
    idempotencyKey: id,
    requestHash: 'hash',
    type: 'place-order',
    businessKey: orderId,
    plan: placeOrderSaga.plan,
    input: { orderId, customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }] },
    ...change,
  };
}

/** A saga in the ledger. */
export interface LedgerSaga {
  readonly id: string;
  readonly input: PlaceOrder;
}

/** Accepts a new order. */
export async function acceptOrder(pool: pg.Pool): Promise<LedgerSaga> {
  const saga = await acceptSaga(pool, newSaga());
  return { id: saga.id, input: saga.input as PlaceOrder };
}

/** The local step of an order, as the activity runs it. */
export function orderStep({ id, input }: LedgerSaga, change: Partial<LocalEffect> = {}): LocalEffect {
  return {
    effect: { sagaId: id, step: 'order', action: 'do' },
    tenantId: 'default',
    work: (tx) => insertOrder(tx, { ...input, sagaId: id, tenantId: 'default' }),
    owes: () => [
      { step: 'stock', type: 'inventory.deduct', payload: { orderId: input.orderId } },
      { step: 'payment', type: 'accounts.debit', payload: { orderId: input.orderId } },
    ],
    ...change,
  };
}

/** The undo of a local step of an order. */
export function undoOf(step: LocalEffect, orderId: string): LocalEffect {
  return { ...step, effect: { ...step.effect, action: 'undo' }, work: (tx) => markOrderCancelled(tx, orderId) };
}
