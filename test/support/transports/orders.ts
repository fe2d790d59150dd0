import { randomUUID } from 'node:crypto';
import { v7 as uuidv7 } from 'uuid';
import type { Envelope } from '../../../src/saga/envelope.js';
import { effectKey, sagaId, type StepAction } from '../../../src/saga/ids.js';
import type { Scene } from './stand.js';

/** Places an order of one book, unless told otherwise; returns the id of its saga. */
export async function place({ office }: Scene, change: Readonly<Record<string, unknown>> = {}): Promise<string> {
  const items = [{ sku: 'book', quantity: 1, unitPrice: 1_250 }];
  const { status, body } = await office.order({ customerId: 'c-1', currency: 'EUR', items, ...change });
  expect(status).toBe(202);
  return body.sagaId;
}

/** The id of a saga that nobody has accepted. */
export function freshSaga(): string {
  return sagaId(uuidv7());
}

/** A message of the step `stock` of a saga that nobody has accepted. */
export function strayOf(type: string, saga: string, { action = 'do', payload }: Stray): Envelope {
  return {
    ...{ messageId: randomUUID(), source: '/settle/place-order', type, time: new Date().toISOString() },
    ...{ sagaId: saga, tenantId: 'default', effectKey: effectKey({ sagaId: saga, step: 'stock', action }) },
    ...{ revision: 0, orderKey: saga, payload },
  };
}

/** What is different about a stray message. */
export interface Stray {
  /** @default 'do' */
  readonly action?: StepAction;
  readonly payload: unknown;
}
