import type { SagaDefinition } from '../src/saga/define-saga.js';
import { placeOrderSaga } from './orders.js';

/** Every saga of this release: what the API accepts and the worker runs. */
export const definitions: readonly SagaDefinition[] = [placeOrderSaga as unknown as SagaDefinition];
