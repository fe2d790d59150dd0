import { statusOf } from '../../src/api/saga-view.js';

const trace = (status: string, attempts = 1): never =>
  ({ status, attempts, startedAt: null, finishedAt: null, lastError: null }) as never;

describe('the status of a step follows from what it left in the ledger', () => {
  test.each([
    [undefined, undefined, true, 'pending'],
    [undefined, undefined, false, 'skipped'],
    [trace('pending', 0), undefined, true, 'pending'],
    [trace('pending', 0), undefined, false, 'skipped'],
    [trace('pending'), undefined, true, 'running'],
    [trace('pending'), undefined, false, 'unknown'],
    [trace('awaited', 0), undefined, true, 'waiting'],
    [trace('awaited', 0), undefined, false, 'skipped'],
    [trace('awaited'), undefined, true, 'waiting'],
    [trace('awaited'), trace('pending'), false, 'undoing'],
    [trace('withdrawn', 0), undefined, false, 'skipped'],
    [trace('withdrawn'), undefined, false, 'unknown'],
    [trace('dead'), undefined, true, 'parked'],
    [trace('sent'), undefined, true, 'done'],
    [trace('applied'), undefined, false, 'done'],
    [trace('rejected'), undefined, false, 'rejected'],
    [trace('tombstone', 0), undefined, false, 'undone'],
    [trace('sent'), trace('pending', 0), false, 'undoing'],
    [trace('withdrawn'), trace('sent'), false, 'undone'],
    [trace('tombstone', 0), trace('nothing-to-undo'), false, 'undone'],
    [trace('applied'), trace('applied'), false, 'undone'],
    [trace('sent'), trace('dead'), false, 'parked'],
    [trace('sent'), trace('rejected'), false, 'parked'],
  ] as const)('do %j, undo %j, forward %s: %s', (forward, undo, goesForward, expected) => {
    expect(statusOf({ do: forward, undo }, goesForward)).toBe(expected);
  });
});
