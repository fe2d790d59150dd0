import type * as ordersWork from '../activities/orders.js';
import { accounts } from '../src/messages/accounts.js';
import { inventory } from '../src/messages/inventory.js';
import { OrderApproved, PlaceOrder } from '../src/messages/orders.js';
import { defineSaga } from '../src/saga/define-saga.js';
import { localWork } from '../src/saga/local-work.js';
import { sagaWorkflow } from './saga-runner.js';

const orders = localWork<typeof ordersWork>('orders');

/**
 * Places an order that somebody has to approve: its stock is kept for half an hour, and the account that the approval names pays.
 * Without an approval in time everything is undone.
 */
export const placeApprovedOrderSaga = defineSaga('place-approved-order', {
  input: PlaceOrder,
  businessKey: (order) => order.orderId,
  deadline: '1h',
})
  .local('order', orders.place, { undo: orders.cancel })
  .message('stock', inventory.deduct, ({ input, order }) => ({
    orderId: order.orderId,
    items: input.items.map(({ sku, quantity }) => ({ sku, quantity })),
  }))
  .wait('approval', { event: OrderApproved, timeout: '30m' })
  .message('payment', accounts.debit, ({ input, order, approval }) => ({
    orderId: order.orderId,
    account: approval.account,
    currency: input.currency,
    amount: order.total,
  }))
  .build();

/** The workflow of `place-approved-order`, by the name that the Temporal Web UI shows. */
export const placeApprovedOrder = sagaWorkflow(placeApprovedOrderSaga);
