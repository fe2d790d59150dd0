import { jest } from '@jest/globals';
import { createBacklog } from '../../src/api/backlog.js';
import { ProblemError } from '../../src/api/problems.js';

const REQUEST = { tenantId: 'default', idempotencyKey: 'key' };

/** A backlog over a ledger in which sagas wait first in, first out, on a clock of its own. */
function openBacklog(limit: number): {
  arrive(count: number): void;
  start(count: number): void;
  pass(ms: number): Promise<boolean>;
} {
  let nowMs = 1_000_000;
  let waiting: number[] = [];
  const ledger = {
    countWaiting: (atMost: number) => Promise.resolve(Math.min(atMost, waiting.length)),
    lookAtWaiting: (lastMs: number, atMost: number) => {
      const until = (ms: number): number => Math.min(atMost, waiting.filter((at) => at <= ms - 2_000).length);
      return Promise.resolve({ atMs: nowMs, waiting: until(nowMs), left: until(lastMs) });
    },
    isKeyKnown: () => Promise.resolve(false),
  };
  const backlog = createBacklog(ledger, limit, () => nowMs);
  return {
    arrive: (count) => waiting.push(...Array<number>(count).fill(nowMs)),
    start: (count) => void (waiting = waiting.slice(count)),
    // a look is kept for a quarter of a second: the timers of Jest let it go
    pass: async (ms) => {
      nowMs += ms;
      jest.advanceTimersByTime(ms);
      return backlog.admit(REQUEST).then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof ProblemError)) throw error;
          return false;
        },
      );
    },
  };
}

beforeEach(() => void jest.useFakeTimers());
afterEach(() => void jest.useRealTimers());

test('while sagas are started no more may wait than ten seconds’ worth of them', async () => {
  const { arrive, start, pass } = openBacklog(10_000);
  let most = 0;
  let waiting = 0;
  for (let n = 0; n < 400; n += 1) {
    // 40 a second are started, and 400 a second come
    const begun = Math.min(waiting, 10);
    start(begun);
    waiting -= begun;
    if (await pass(250)) {
      arrive(100);
      waiting += 100;
    }
    most = Math.max(most, waiting);
  }
  expect(most).toBeGreaterThan(300);
  expect(most).toBeLessThan(600);
});

test('while nothing is started at all, as without Temporal, as many may wait as the setting says', async () => {
  const { arrive, pass } = openBacklog(2_000);
  let waiting = 0;
  for (let n = 0; n < 100; n += 1) {
    if (!(await pass(250))) continue;
    arrive(100);
    waiting += 100;
  }
  expect(waiting).toBe(2_000);
});
