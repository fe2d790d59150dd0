import fc from 'fast-check';
import { backoffMs, FORWARD_RETRY, PERSISTENT_RETRY, retryPolicy } from '../../src/saga/retry.js';
import type { RetryPolicy } from '../../src/saga/retry.js';

const anyPolicy = fc
  .record({
    initialMs: fc.integer({ min: 1, max: 60_000 }),
    factor: fc.double({ min: 1, max: 100, noNaN: true }),
    longerMs: fc.nat(3_600_000),
    timeoutMs: fc.integer({ min: 1, max: 60_000 }),
  })
  .map(({ longerMs, ...rest }): RetryPolicy => ({ ...rest, capMs: rest.initialMs + longerMs, budgetMs: 86_400_000 }));

test('waits never shrink, never pass the cap and never fall below the first', () => {
  fc.assert(
    fc.property(anyPolicy, fc.nat(10_000), (policy, attempt) => {
      const wait = backoffMs(policy, attempt);
      expect(wait).toBeGreaterThanOrEqual(policy.initialMs);
      expect(wait).toBeLessThanOrEqual(policy.capMs);
      expect(backoffMs(policy, attempt + 1)).toBeGreaterThanOrEqual(wait);
    }),
  );
});

test('the first wait is the initial one, and each is the factor times the one before until the cap', () => {
  const policy = { ...FORWARD_RETRY, initialMs: 1_000, factor: 2, capMs: 10_000 };
  const waits = [1, 2, 3, 4, 5, 6, 7].map((attempt) => backoffMs(policy, attempt));
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000, 10_000]);
});

test('waits reach the cap however many attempts there were', () => {
  expect(backoffMs(PERSISTENT_RETRY, 1_000_000)).toBe(PERSISTENT_RETRY.capMs);
});

test('a resolved policy always keeps its own rules', () => {
  fc.assert(
    fc.property(anyPolicy, ({ initialMs, factor, capMs, budgetMs, timeoutMs }) => {
      const options = { initial: initialMs, factor, cap: capMs, budget: budgetMs, timeout: timeoutMs };
      expect(retryPolicy(options, FORWARD_RETRY)).toEqual({ initialMs, factor, capMs, budgetMs, timeoutMs });
    }),
  );
});

test('what is not given comes from the default', () => {
  expect(retryPolicy(undefined, FORWARD_RETRY)).toEqual(FORWARD_RETRY);
  expect(retryPolicy({ budget: '1h' }, FORWARD_RETRY)).toEqual({ ...FORWARD_RETRY, budgetMs: 3_600_000 });
});

test.each([
  [{ initial: 0 }, 'retry.initial'],
  [{ cap: 0 }, 'retry.cap'],
  [{ budget: 0 }, 'retry.budget'],
  [{ timeout: 0 }, 'retry.timeout'],
  [{ factor: 0.99 }, 'retry.factor'],
  [{ factor: Number.NaN }, 'retry.factor'],
  [{ factor: Number.POSITIVE_INFINITY }, 'retry.factor'],
  [{ initial: '40s' }, 'retry.cap must not be shorter than retry.initial'],
  [{ budget: '4s' }, 'retry.budget must not be shorter than retry.timeout'],
] as const)('%j is refused and the error names the field', (options, problem) => {
  expect(() => retryPolicy(options, FORWARD_RETRY)).toThrow(problem);
});
