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
    countWaiting: (atMost: number) => Promise.resolve({ waiting: Math.min(atMost, waiting.length), handedOver: 0 }),
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
    pass: async (ms) => {
      nowMs += ms;
      return backlog.admit(REQUEST, undefined).then(
        () => true,
        (error: unknown) => {
          if (!(error instanceof ProblemError)) throw error;
          return false;
        },
      );
    },
  };
}

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
  expect(most).toBeLessThan(800);
});

test('while nothing is started at all, as without Temporal, as many may wait as the setting says', async () => {
  const { arrive, pass } = openBacklog(2_000);
  let waiting = 0;
  for (let n = 0; n < 100; n += 1) {
    if (!(await pass(250))) continue;
    arrive(100);
    waiting += 100;
  }
  // give or take what comes between two looks
  expect(waiting).toBeGreaterThanOrEqual(2_000);
  expect(waiting).toBeLessThanOrEqual(2_100);
});

test('a ledger that is slow keeps no refusal waiting: few are looked up, and the count may be a second old', async () => {
  let nowMs = 0;
  let looks = 0;
  const never = new Promise<never>(() => undefined);
  let isSlow = false;
  const ledger = {
    countWaiting: () => (isSlow ? never : Promise.resolve({ waiting: 10, handedOver: 0 })),
    lookAtWaiting: () => Promise.resolve({ atMs: nowMs, waiting: 0, left: 0 }),
    isKeyKnown: () => {
      looks += 1;
      return isSlow ? never : Promise.resolve(false);
    },
  };
  const backlog = createBacklog(ledger, 10, () => nowMs);
  await expect(backlog.admit(REQUEST, undefined)).rejects.toBeInstanceOf(ProblemError);
  isSlow = true;
  nowMs += 1_000;
  let refused = 0;
  for (let n = 0; n < 100; n += 1) void backlog.admit(REQUEST, undefined).catch(() => (refused += 1));
  await new Promise((resolve) => setImmediate(resolve));
  expect(looks).toBe(1 + 16);
  expect(refused).toBe(100 - 16);
});

test('it says at once whether it is full, and how long a line lets the scan wait', async () => {
  let nowMs = 0;
  let waiting = 0;
  let moves = false;
  const ledger = {
    countWaiting: () => Promise.resolve({ waiting, handedOver: 0 }),
    lookAtWaiting: () => Promise.resolve({ atMs: nowMs, waiting: 10, left: moves ? 5 : 10 }),
    isKeyKnown: () => Promise.resolve(true),
  };
  const backlog = createBacklog(ledger, 1_000, () => nowMs);
  const seen = async (count: number): Promise<unknown> => {
    nowMs += 300;
    waiting = count;
    await backlog.admit(REQUEST, undefined);
    await backlog.admit(REQUEST, undefined);
    return [backlog.isFull(undefined), backlog.startGraceMs()];
  };
  expect([backlog.isFull(undefined), backlog.startGraceMs()]).toEqual([false, undefined]);
  expect(await seen(0)).toEqual([false, undefined]);
  // nothing is started any more: what is lost is to be found soon
  nowMs += 4_000;
  expect(await seen(65)).toEqual([false, undefined]);
  moves = true;
  expect(await seen(65)).toEqual([false, 15_000]);
  expect(await seen(300)).toEqual([true, 15_000]);
});

test('that it was full goes on while it looks again, which being asked is enough for, but for two seconds at most', async () => {
  let nowMs = 0;
  let looks = 0;
  let waiting = 10;
  let answer = Promise.resolve();
  const ledger = {
    countWaiting: async () => {
      looks += 1;
      await answer;
      return { waiting, handedOver: 0 };
    },
    lookAtWaiting: () => Promise.resolve({ atMs: nowMs, waiting: 0, left: 0 }),
    isKeyKnown: () => Promise.resolve(true),
  };
  const backlog = createBacklog(ledger, 10, () => nowMs);
  await backlog.admit(REQUEST, undefined);
  nowMs += 249;
  expect([backlog.isFull(undefined), looks]).toEqual([true, 1]);
  nowMs += 1;
  waiting = 0;
  expect([backlog.isFull(undefined), backlog.isFull(undefined), looks]).toEqual([true, true, 2]);
  await new Promise((resolve) => setImmediate(resolve));
  expect([backlog.isFull(undefined), looks]).toEqual([false, 2]);

  waiting = 10;
  nowMs += 2_001;
  await backlog.admit(REQUEST, undefined);
  answer = Promise.reject(new Error('the ledger does not answer'));
  nowMs += 2_000;
  expect(backlog.isFull(undefined)).toBe(true);
  await new Promise((resolve) => setImmediate(resolve));
  nowMs += 1;
  expect(backlog.isFull(undefined)).toBe(false);
});

test('a refusal waits no longer than a moment for the look whether it is a repetition', async () => {
  const ledger = {
    countWaiting: () => Promise.resolve({ waiting: 10, handedOver: 0 }),
    lookAtWaiting: () => Promise.resolve({ atMs: 0, waiting: 0, left: 0 }),
    isKeyKnown: () => new Promise<never>(() => undefined),
  };
  const begunAt = performance.now();
  await expect(createBacklog(ledger, 10).admit(REQUEST, undefined)).rejects.toBeInstanceOf(ProblemError);
  expect(performance.now() - begunAt).toBeLessThan(5_000);
});

test('what finds a place in the express lane waits for none but those that the lane has given up, and for the limit', async () => {
  let nowMs = 0;
  let count = { waiting: 0, handedOver: 0 };
  const ledger = {
    countWaiting: () => Promise.resolve(count),
    lookAtWaiting: () => Promise.resolve({ atMs: nowMs, waiting: 0, left: 0 }),
    isKeyKnown: () => Promise.resolve(false),
  };
  const backlog = createBacklog(ledger, 1_000, () => nowMs);
  const letsIn = async (waiting: number, handedOver: number): Promise<unknown> => {
    count = { waiting, handedOver };
    nowMs += 3_000;
    const places = [undefined, 'free', 'full'] as const;
    const admitted = await Promise.allSettled(places.map((place) => backlog.admit(REQUEST, place)));
    expect(admitted.slice(0, 2).map(({ status }) => status === 'rejected')).toEqual(
      places.slice(0, 2).map((place) => backlog.isFull(place)),
    );
    return admitted.map((each) => (each.status === 'fulfilled' ? 'in' : (each.reason as Error).message));
  };
  const line = '256 or more sagas wait to be started';
  const lane = 'the express lane is full';
  expect(await letsIn(255, 255)).toEqual(['in', 'in', lane]);
  expect(await letsIn(999, 255)).toEqual([line, 'in', lane]);
  expect(await letsIn(256, 256)).toEqual([line, line, lane]);
  expect(await letsIn(1_000, 0)).toEqual([line, line, lane]);
});
