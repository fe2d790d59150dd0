import fc from 'fast-check';
import type { Answer } from '../../src/saga/outcome.js';
import { moveAfter, RELAY_RETRY } from '../../src/saga/outbox.js';

const unknown = (retryAfterMs?: number): Answer => ({ kind: 'unknown', detail: 'HTTP 500', retryAfterMs });
const after = (attempt: number, outcome: Answer, { ageMs = 0, random = 0 } = {}): object =>
  moveAfter({ attempt, ageMs, outcome }, random);

test.each([
  ['done', { kind: 'done', result: 1 }, { to: 'delivered', result: 1 }],
  [
    'rejected',
    { kind: 'rejected', reason: { code: 'a', message: 'b' } },
    { to: 'dead', reason: { code: 'a', message: 'b' } },
  ],
  ['unknown', unknown(), { to: 'relay', waitMs: 200, error: 'HTTP 500' }],
  ['working', { kind: 'working', retryAfterMs: 3_000 }, { to: 'relay', waitMs: 3_000, error: 'still being worked on' }],
] as const)('%s after the first attempt', (_, outcome, expected) => {
  expect(after(1, outcome)).toEqual(expected);
});

test('the back-off doubles, and jitter shortens it by up to half', () => {
  expect([1, 2, 3, 4].map((attempt) => after(attempt, unknown()))).toMatchObject([
    { waitMs: 200 },
    { waitMs: 400 },
    { waitMs: 800 },
    { waitMs: 1_600 },
  ]);
  expect(after(1, unknown(), { random: 1 })).toMatchObject({ waitMs: 100 });
});

test('what the first attempts cannot deliver goes to a workflow, and past its budget nowhere', () => {
  expect(after(RELAY_RETRY.attempts, unknown())).toEqual({ to: 'workflow', error: 'HTTP 500' });
  expect(after(1, unknown(), { ageMs: RELAY_RETRY.budgetMs + 1 })).toEqual({
    to: 'dead',
    reason: { code: 'no-outcome', message: 'HTTP 500' },
  });
});

test('no wait is longer than the cap, whatever a participant asks for', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 4 }),
      fc.option(fc.nat(), { nil: undefined }),
      fc.float({ min: 0, max: 1, noNaN: true }),
      (attempt, asked, random) => {
        const move = moveAfter({ attempt, ageMs: 0, outcome: unknown(asked) }, random);
        return move.to === 'relay' && move.waitMs >= 100 && move.waitMs <= RELAY_RETRY.capMs;
      },
    ),
  );
});
