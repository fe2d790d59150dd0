import { v7 as uuidv7 } from 'uuid';
import type { NewSaga } from '../../src/db/saga-store.js';
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
