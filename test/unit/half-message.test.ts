import { v7 } from 'uuid';
import {
  afterCheck,
  CHECK_PLAN,
  findHorizonEnd,
  NO_CHECKS,
  waitBeforeCheck,
  type CheckProgress,
} from '../../src/saga/half-message.js';
import { isMessageId, isSagaId, messageEffectKey, messageId, parseEffectKey } from '../../src/saga/ids.js';

/** Checks until the horizon; returns each wait in s, and why it ended. */
function checkUntilEnd(isAnswered: (check: number) => boolean): { waits: number[]; end?: string; totalMs: number } {
  const waits: number[] = [];
  let progress: CheckProgress = NO_CHECKS;
  let totalMs = 0;
  while (!findHorizonEnd(CHECK_PLAN, progress) && waits.length < 10_000) {
    const waitMs = waitBeforeCheck(CHECK_PLAN, progress);
    waits.push(waitMs / 1_000);
    totalMs += waitMs;
    progress = afterCheck(progress, isAnswered(waits.length), waitMs);
  }
  return { waits, end: findHorizonEnd(CHECK_PLAN, progress)?.code, totalMs };
}

test('the first check comes after 6 s, the others 30 s to 10 min apart', () => {
  expect(checkUntilEnd(() => true).waits.slice(0, 8)).toEqual([6, 30, 60, 120, 240, 480, 600, 600]);
});

test.each([
  ['always answers unknown', () => true, 'no-verdict'],
  ['never answers', () => false, 'producer-silent'],
])('a producer that %s is asked for a day at least, then a person is', (_, isAnswered, code) => {
  const { end, totalMs } = checkUntilEnd(isAnswered);
  expect(end).toBe(code);
  expect(totalMs).toBeGreaterThanOrEqual(86_400_000);
  expect(totalMs).toBeLessThan(86_400_000 + 600_000);
});

test('silence takes nothing from the time that answers have', () => {
  // away for some 12 hours in the middle
  const { waits, end } = checkUntilEnd((check) => check < 20 || check > 90);
  const answered = waits.filter((_, n) => n + 1 < 20 || n + 1 > 90).reduce((sum, wait) => sum + wait, 0);
  expect(end).toBe('no-verdict');
  expect(answered).toBeGreaterThanOrEqual(86_400);
});

test('a message id is no saga id, and its effect key is one that participants take', () => {
  const id = messageId(v7());
  expect([isMessageId(id), isSagaId(id)]).toEqual([true, false]);
  expect(parseEffectKey(messageEffectKey(id))).toEqual({ sagaId: id, step: 'message', action: 'do' });
  expect(() => messageId('x')).toThrow('UUIDv7');
});
