import { eventually } from '../support/eventually.js';
import { faultySaga, guardedSaga, linearSaga, pivotedSaga } from './support/sagas.js';
import { underRelease, withSaga, type Running } from './support/with-saga.js';

test('promise 9: a saga that its own code has parked goes on under the release that mends it', async () => {
  let parked: Running | undefined;
  await withSaga({ definition: faultySaga }, async (running) => {
    parked = running;
    await eventually(() => {
      expect(running.activities.reasons.get('parked')).toMatchObject({ code: 'definition-failed', step: 'broken' });
    });
  });
  const { activities, end, retry } = parked!;
  await underRelease('test/workflow/support/mended-sagas.ts', parked!, async () => {
    await eventually(async () => {
      expect(await retry()).toBe(true);
    });
    expect(await end).toMatchObject({ outcome: 'completed' });
  });
  expect(activities.payloads.get('broken/do')).toEqual({ mended: true });
});

test('a saga that is started after its deadline begins nothing', async () => {
  const start = { acceptedAtMs: Date.now() - 3_600_000 };
  await withSaga({ definition: guardedSaga, start }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
    expect(activities.log).toEqual(['compensating', 'compensated']);
  });
});

test('the deadline holds for a saga that is parked before its pivot', async () => {
  const start = { plan: { ...faultySaga.plan, deadlineMs: 2_000 } };
  await withSaga({ definition: faultySaga, start }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
    expect(activities.log).toEqual(['first/do', 'parked', 'compensating', 'first/undo', 'compensated']);
  });
});

test('a retry is told to the ledger and the participant, so that it runs again over a rejection', async () => {
  await withSaga({ definition: pivotedSaga, script: { 'after/do': ['rejected', 'done'] } }, async (running) => {
    await eventually(async () => {
      expect(await running.retry()).toBe(true);
    });
    await running.end;
    expect(running.activities.revisions.get('after/do')).toEqual([0, 1]);
  });
  await withSaga(
    { definition: linearSaga, script: { 'third/do': ['rejected'], 'second/undo': ['parked', 'done'] } },
    async (running) => {
      await eventually(async () => {
        expect(await running.retry()).toBe(true);
      });
      await running.end;
      expect(running.activities.revisions.get('second/undo')).toEqual([0, 1]);
    },
  );
});
