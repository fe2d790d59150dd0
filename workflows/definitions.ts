import type { SagaDefinition } from '../src/saga/define-saga.js';
import { placeOrderSaga } from './orders.js';
import { payInvoiceSaga } from './payments.js';
import { registerUserSaga } from './registrations.js';

/** Every saga of this release: what the API accepts and the worker runs. */
export const definitions: readonly SagaDefinition[] = [
  placeOrderSaga as unknown as SagaDefinition,
  payInvoiceSaga as unknown as SagaDefinition,
  registerUserSaga as unknown as SagaDefinition,
];
