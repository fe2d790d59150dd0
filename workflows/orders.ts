import type * as ordersWork from '../activities/orders.js';
import { accounts } from '../src/messages/accounts.js';
import { inventory } from '../src/messages/inventory.js';
import { PlaceOrder } from '../src/messages/orders.js';
import { defineSaga } from '../src/saga/define-saga.js';
import { localWork } from '../src/saga/local-work.js';
import { sagaWorkflow } from './saga-runner.js';

const orders = localWork<typeof ordersWork>('orders');

/**
 * Places an order: the order's row, the stock, the money; all three, or none.
 * A message is undone by the contract it comes with: `inventory.release`, `accounts.refund`.
 */
export const placeOrderSaga = defineSaga('place-order', {
  input: PlaceOrder,
  businessKey: (order) => order.orderId,
  deadline: '15m',
})
  .local('order', orders.place, { undo: orders.cancel })
  .message('stock', inventory.deduct, ({ input, order }) => ({
    orderId: order.orderId,
    items: input.items.map(({ sku, quantity }) => ({ sku, quantity })),
  }))
  .message('payment', accounts.debit, ({ input, order }) => ({
    orderId: order.orderId,
    account: input.customerId,
    currency: input.currency,
    amount: order.total,
  }))
  .build();

/** The workflow of `place-order`, by the name that the Temporal Web UI shows. */
export const placeOrder = sagaWorkflow(placeOrderSaga);
