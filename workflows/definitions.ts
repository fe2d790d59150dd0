import type { SagaDefinition } from '../src/saga/define-saga.js';
import { placeApprovedOrderSaga } from './approved-orders.js';
import { placeFirstOrderSaga } from './first-orders.js';
import { placeOrderSaga } from './orders.js';
import { payInvoiceSaga } from './payments.js';
import { registerUserSaga } from './registrations.js';

/** The sagas that the API starts, by the name of their workflow. */
export const startable = {
  placeOrder: placeOrderSaga,
  placeFirstOrder: placeFirstOrderSaga,
  placeApprovedOrder: placeApprovedOrderSaga,
  payInvoice: payInvoiceSaga,
  registerUser: registerUserSaga,
};

/** Every saga of this release: what the API accepts and the worker runs. */
export const definitions = Object.values(startable) as unknown as readonly SagaDefinition[];
