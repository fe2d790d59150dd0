import { v7 } from 'uuid';
import { HORIZONS } from '../../src/horizons.js';
import { CHECK_PLAN } from '../../src/saga/half-message.js';
import { effectKey, idBound, sagaId, timeOfId } from '../../src/saga/ids.js';
import {
  assertWindows,
  days,
  DEFAULT_BROKER_MS,
  DEFAULT_WINDOWS,
  halfMessageHorizon,
  isBeyondWindow,
  resendMs,
  sagaHorizon,
  type Windows,
} from '../../src/saga/windows.js';
import { placeApprovedOrderSaga } from '../../workflows/approved-orders.js';
import { placeFirstOrderSaga } from '../../workflows/first-orders.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { registerUserSaga } from '../../workflows/registrations.js';

const DAY_MS = 86_400_000;
const MINUTE_MS = 60_000;

describe('the horizon of a saga', () => {
  test('is all budgets on the way there and all on the way back, and the last attempt', () => {
    const forwardMs = 3 * 2 * MINUTE_MS;
    expect(sagaHorizon(placeOrderSaga.plan)).toEqual({
      of: "saga 'place-order'",
      ms: forwardMs + 3 * DAY_MS + 5_000,
    });
  });

  test('counts steps that run at the same time once', () => {
    const { items } = registerUserSaga.plan;
    const group = items.find((item) => 'parallel' in item)!;
    const alone = { ...registerUserSaga.plan, items: [group] };
    expect(sagaHorizon(alone).ms).toBe(2 * MINUTE_MS + DAY_MS + 5_000);
  });

  test('covers the saga that runs as a step, there and back, and the time that is waited for an event', () => {
    const inParent = sagaHorizon(placeFirstOrderSaga.plan).ms - sagaHorizon(placeOrderSaga.plan).ms;
    expect(inParent).toBe(sagaHorizon(registerUserSaga.plan).ms - 5_000);
    const waited = sagaHorizon(placeApprovedOrderSaga.plan).ms - sagaHorizon(placeOrderSaga.plan).ms;
    expect(waited).toBe(30 * MINUTE_MS);
  });

  test('of a half message covers checks, silence and delivery', () => {
    expect(halfMessageHorizon(CHECK_PLAN).ms).toBeGreaterThan(3 * DAY_MS);
  });
});

describe('windows that are too short are refused with the numbers and the remedy', () => {
  const horizons = [{ of: "saga 'place-order'", ms: DAY_MS }];
  const refusal = (change: Partial<Windows>): string => {
    try {
      assertWindows({ ...DEFAULT_WINDOWS, ...change }, horizons);
      return 'none';
    } catch (error) {
      return (error as Error).message;
    }
  };

  test.each<[string, Partial<Windows>, string]>([
    [
      'the inbox',
      { inboxMs: 3 * DAY_MS },
      'the inbox window of 3 days is shorter than the 15 days in which a message may be sent again ' +
        "(retries of saga 'place-order' 1 day, manual window 14 days); raise SETTLE_INBOX_WINDOW",
    ],
    [
      'the inbox, with a broker on the way',
      { inboxMs: 20 * DAY_MS, brokerMs: 7 * DAY_MS },
      'the inbox window of 20 days is shorter than the 22 days in which a message may be sent again ' +
        "(retries of saga 'place-order' 1 day, manual window 14 days, brokers 7 days); raise SETTLE_INBOX_WINDOW",
    ],
    [
      'the keys',
      { keyMs: DAY_MS / 2 },
      "the window of idempotency keys of 0.5 days is shorter than the 1 day for which saga 'place-order' may be under way " +
        'while its client asks again; raise SETTLE_KEY_WINDOW',
    ],
    [
      'the ledger',
      { retentionMs: 2 * DAY_MS },
      "the ledger's retention of 2 days is shorter than the window of idempotency keys of 7 days, which are answered from it; " +
        'raise SETTLE_RETENTION',
    ],
  ])('%s', (_, change, message) => {
    expect(refusal(change)).toBe(message);
  });

  test('and one that just suffices is not', () => {
    expect(refusal({ inboxMs: 15 * DAY_MS, keyMs: DAY_MS, retentionMs: DAY_MS })).toBe('none');
    expect(refusal({ inboxMs: 15 * DAY_MS - 1 })).toContain('SETTLE_INBOX_WINDOW');
  });
});

test('the defaults cover every saga of this release and its half messages, over HTTP and over brokers', () => {
  for (const brokerMs of [0, DEFAULT_BROKER_MS]) {
    const windows = { ...DEFAULT_WINDOWS, brokerMs };
    expect(() => assertWindows(windows, HORIZONS)).not.toThrow();
    expect(resendMs(HORIZONS, windows)).toBeLessThan(DEFAULT_WINDOWS.inboxMs);
  }
});

describe('the time in an id', () => {
  const madeMs = Date.parse('2026-03-04T05:06:07.089Z');
  const id = sagaId(v7({ msecs: madeMs }));

  test('is read from ids of every kind and from effect keys, and from nothing else', () => {
    expect(timeOfId(id)).toBe(madeMs);
    expect(timeOfId(effectKey({ sagaId: id, step: 'stock', action: 'undo' }))).toBe(madeMs);
    expect(timeOfId(`om_${v7({ msecs: madeMs })}/message/do`)).toBe(madeMs);
    expect(['', 'sg_', 'order-7', id.replace('-7', '-4'), v7()].map(timeOfId)).not.toContain(madeMs);
    expect(timeOfId('order-7')).toBeUndefined();
  });

  test('says what is beyond a window: what is as old as the window is not', () => {
    const window = 30 * DAY_MS;
    expect(isBeyondWindow(id, madeMs + window, window)).toBe(false);
    expect(isBeyondWindow(id, madeMs + window + 1, window)).toBe(true);
    expect(isBeyondWindow('order-7', madeMs, 0)).toBe(false);
  });

  test('orders ids around the bound of a moment', () => {
    const before = sagaId(v7({ msecs: madeMs - 1 }));
    expect([id, before, idBound('sg', madeMs)].sort()).toEqual([before, idBound('sg', madeMs), id]);
    expect(idBound('sg', 0)).toBe('sg_00000000-0000');
  });
});

test('days are rounded up, so that the number that is asked for suffices', () => {
  expect([1, DAY_MS, DAY_MS + 1, 1.5 * DAY_MS].map(days)).toEqual(['0.1 days', '1 day', '1.1 days', '1.5 days']);
});
