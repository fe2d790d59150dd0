import { z } from 'zod';
import { defineEvent } from '../../src/saga/event-contract.js';
import { defineSaga } from '../../src/saga/define-saga.js';
import { payInvoiceSaga } from '../../workflows/payments.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { findStuckCause, longestWayForwardMs } from '../../src/saga/stuck.js';
import type { SagaState } from '../../src/saga/state.js';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

test('a saga goes forward until its deadline, and past its pivot for as long as its retries last', () => {
  // three steps of two minutes each
  expect(longestWayForwardMs(placeOrderSaga.plan)).toBe(6 * MINUTE_MS + 5_000);
  const { plan } = payInvoiceSaga;
  expect(longestWayForwardMs(plan)).toBeGreaterThan(DAY_MS);
  expect(longestWayForwardMs({ ...placeOrderSaga.plan, deadlineMs: MINUTE_MS })).toBe(MINUTE_MS + 5_000);
});

test('a saga that waits for an event is not stuck before the time to wait for it is over', () => {
  const event = defineEvent('signed', z.object({}));
  const { plan } = defineSaga('sign', { input: z.object({}), businessKey: () => 'any' })
    .wait('signature', { event, timeout: '7d' })
    .build();
  expect(findStuckCause({ state: 'running', plan, sinceMs: 0 }, 6 * DAY_MS)).toBeUndefined();
  expect(findStuckCause({ state: 'running', plan, sinceMs: 0 }, 8 * DAY_MS)).toBe('overdue');
});

test.each<[SagaState, number, string | undefined]>([
  ['accepted', MINUTE_MS - 1, undefined],
  ['accepted', MINUTE_MS + 1, 'not-started'],
  ['running', 6 * MINUTE_MS, undefined],
  ['running', 7 * MINUTE_MS, 'overdue'],
  ['compensating', DAY_MS, undefined],
  ['compensating', 4 * DAY_MS, 'overdue'],
  ['parked', 99 * DAY_MS, undefined],
])('a saga that has been %s for %d ms counts as %s', (state, ageMs, cause) => {
  expect(findStuckCause({ state, plan: placeOrderSaga.plan, sinceMs: 0 }, ageMs)).toBe(cause);
});
