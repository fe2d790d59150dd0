import type { AheadEnd } from '../../activities/ahead-run.js';
import { eventually } from '../support/eventually.js';
import { linearSaga, pivotedSaga } from './support/sagas.js';
import { withSaga } from './support/with-saga.js';

const start = { mayRunAhead: true };
const NOTHING: AheadEnd = { items: 0, results: {}, slow: [], isCompleted: false };
const results = { first: { id: 'first' }, second: { id: 'second' }, third: { id: 'third' } };

test('a saga whose steps have all run ahead has completed: nothing is done again, and nothing is recorded twice', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 3, results, isCompleted: true };
  await withSaga({ definition: linearSaga, start, ahead }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['ahead']);
  });
});

test('the workflow goes on behind what has run ahead, with its results', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 2, results: { first: results.first, second: { id: 'ahead' } } };
  await withSaga({ definition: linearSaga, start, ahead }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['ahead', 'third/do', 'completed']);
    expect(activities.payloads.get('third/do')).toEqual({ after: { id: 'ahead' } });
  });
});

test('promise 6: what has run ahead is taken back when a step behind it is refused', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 2, results };
  const script = { 'third/do': ['rejected'] } as const;
  await withSaga({ definition: linearSaga, start, ahead, script }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'third' } });
    expect(activities.log).toEqual([
      ...['ahead', 'third/do', 'compensating', 'second/undo', 'first/undo', 'compensated'],
    ]);
  });
});

test('the results of an item that is not done count for nothing: its steps are done again', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 1, results: { first: results.first, second: results.second } };
  await withSaga({ definition: linearSaga, start, ahead }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['ahead', 'second/do', 'third/do', 'completed']);
  });
});

test('a saga that cannot run ahead runs step by step', async () => {
  await withSaga({ definition: linearSaga, start }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['ahead', 'first/do', 'second/do', 'third/do', 'completed']);
  });
});

test('a step that was slow ahead is given no quick attempts: it is tried where a person can see it', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 1, results, slow: ['second'] };
  const script = { 'second/do': ['unknown', 'done'] } as const;
  await withSaga({ definition: linearSaga, start, ahead, script }, async ({ activities, end, scheduled }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.attempts.get('second/do')).toBe(2);
    expect(await scheduled()).toEqual(['dispatch']);
  });
});

test('a saga that has passed its pivot ahead only goes forward, whatever a cancel says', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 2, results: { ...results, pivot: { id: 'pivot' } }, slow: ['after'] };
  const script = { 'after/do': ['unknown'] } as const;
  await withSaga({ definition: pivotedSaga, start, ahead, script }, async ({ activities, cancel }) => {
    await eventually(() => expect(activities.log).toContain('after/do'));
    await cancel();
    await eventually(() => expect(activities.log).toContain('parked'));
    expect(activities.log).not.toContain('compensating');
  });
});

test('a cancel takes back what has run ahead', async () => {
  const ahead: AheadEnd = { ...NOTHING, items: 2, results, slow: ['third'] };
  const script = { 'third/do': ['unknown'] } as const;
  await withSaga({ definition: linearSaga, start, ahead, script }, async ({ activities, end, cancel }) => {
    await eventually(() => expect(activities.log).toContain('third/do'));
    await cancel();
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
    expect(activities.log).toEqual([
      ...['ahead', 'third/do', 'compensating', 'third/undo', 'second/undo', 'first/undo', 'compensated'],
    ]);
  });
});

test('a pivot that was refused, of which the ledger says that it may have been applied, waits for a person', async () => {
  const script = { 'pivot/do': ['rejected'] } as const;
  const records = { compensating: { mustGoForward: true } };
  await withSaga({ definition: pivotedSaga, script, records }, async ({ activities }) => {
    await eventually(() => expect(activities.log).toContain('parked'));
    expect(activities.attempts.get('pivot/do')).toBe(2);
    expect(activities.log).toEqual(['first/do', 'pivot/do', 'compensating', 'parked']);
  });
});
