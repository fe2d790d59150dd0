import { setTimeout as delay } from 'node:timers/promises';
import type { AheadEnd } from '../../activities/ahead-run.js';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { eventually } from '../support/eventually.js';
import { guardedSaga, linearSaga, pivotedSaga } from './support/sagas.js';
import { replay, withSaga } from './support/with-saga.js';

const start = { mayRunAhead: 'first' } as const;
/** Of `temporal.api.enums.v1`: `EVENT_TYPE_WORKFLOW_TASK_TIMED_OUT`, `TIMEOUT_TYPE_START_TO_CLOSE`. */
const [WORKFLOW_TASK_TIMED_OUT, START_TO_CLOSE] = [8, 1];
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

test('a saga that is cancelled before its first task is given no time to run ahead', async () => {
  await withSaga(
    { definition: linearSaga, start, ahead: NOTHING, isCancelledFirst: true },
    async ({ activities, end }) => {
      expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
      expect(activities.log).toEqual(['ahead', 'compensating', 'compensated']);
      expect(activities.payloads.get('ahead')).toMatchObject({ forMs: 0 });
    },
  );
});

test('neither is one whose deadline has passed', async () => {
  const late = { ...start, acceptedAtMs: Date.now() - 2 * guardedSaga.plan.deadlineMs! };
  await withSaga({ definition: guardedSaga, start: late, ahead: NOTHING }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
    expect(activities.log).toEqual(['ahead', 'compensating', 'compensated']);
    expect(activities.payloads.get('ahead')).toMatchObject({ forMs: 0 });
  });
});

test('promise 9: a saga that was cancelled while it ran ahead replays, wherever its first task was cut in two', async () => {
  const taskMs = 1_000;
  const ahead = async (): Promise<AheadEnd> => {
    await delay(1.5 * taskMs);
    return { ...NOTHING, items: 1, results, slow: ['second'] };
  };
  await withSaga({ definition: linearSaga, start, ahead, taskMs }, async ({ activities, end, cancel, history }) => {
    await eventually(() => expect(activities.log).toContain('ahead'));
    await cancel();
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
    expect(activities.log).toEqual(['ahead', 'compensating', 'first/undo', 'compensated']);
    const whole = await history();
    await replay(whole);
    await replay(withFirstTaskLost(whole));
  });
});

/** What the history is where Temporal was away when the first task was reported: the SDK runs its events again as one task. */
function withFirstTaskLost({ events }: History): History {
  const first = events!.findIndex(({ workflowTaskCompletedEventAttributes: completed }) => completed);
  expect(events![first + 1]?.workflowExecutionSignaledEventAttributes).toBeTruthy();
  const { eventId, eventTime, workflowTaskCompletedEventAttributes: completed } = events![first]!;
  const { scheduledEventId, startedEventId } = completed!;
  return {
    events: events!.with(first, {
      ...{ eventId, eventTime, eventType: WORKFLOW_TASK_TIMED_OUT },
      workflowTaskTimedOutEventAttributes: { scheduledEventId, startedEventId, timeoutType: START_TO_CLOSE },
    }),
  };
}

test('a pivot that was refused, of which the ledger says that it may have been applied, waits for a person', async () => {
  const script = { 'pivot/do': ['rejected'] } as const;
  const records = { compensating: { mustGoForward: true } };
  await withSaga({ definition: pivotedSaga, script, records }, async ({ activities }) => {
    await eventually(() => expect(activities.log).toContain('parked'));
    expect(activities.attempts.get('pivot/do')).toBe(2);
    expect(activities.log).toEqual(['first/do', 'pivot/do', 'compensating', 'parked']);
  });
});
