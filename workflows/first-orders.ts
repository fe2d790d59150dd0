import type * as ordersWork from '../activities/orders.js';
import { accounts } from '../src/messages/accounts.js';
import { inventory } from '../src/messages/inventory.js';
import { PlaceFirstOrder } from '../src/messages/orders.js';
import { defineSaga } from '../src/saga/define-saga.js';
import { localWork } from '../src/saga/local-work.js';
import { registerUserSaga } from './registrations.js';
import { sagaWorkflow } from './saga-runner.js';

const orders = localWork<typeof ordersWork>('orders');

/**
 * Places the first order of a new customer: the registration is a saga of its own, and undone with the order.
 * The welcome credit that it gives pays for the order; the welcome mail is sent when the order has completed.
 */
export const placeFirstOrderSaga = defineSaga('place-first-order', {
  input: PlaceFirstOrder,
  businessKey: (order) => order.orderId,
  deadline: '15m',
})
  .child('customer', registerUserSaga, ({ input }) => ({ userId: input.customerId, ...input.registration }))
  .local('order', orders.placeFirst, { undo: orders.cancel })
  .message('stock', inventory.deduct, ({ input, order }) => ({
    orderId: order.orderId,
    items: input.items.map(({ sku, quantity }) => ({ sku, quantity })),
  }))
  .message('payment', accounts.debit, ({ input, customer, order }) => ({
    orderId: order.orderId,
    account: customer.userId,
    currency: input.currency,
    amount: order.total,
  }))
  .build();

/** The workflow of `place-first-order`, by the name that the Temporal Web UI shows. */
export const placeFirstOrder = sagaWorkflow(placeFirstOrderSaga);
