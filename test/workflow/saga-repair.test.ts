import { eventually } from '../support/eventually.js';
import { faultySaga, guardedSaga } from './support/sagas.js';
import { underRelease, withSaga, type Running } from './support/with-saga.js';

test('promise 9: a saga that its own code has parked goes on under the release that mends it', async () => {
  let parked: Running | undefined;
  await withSaga({ definition: faultySaga }, async (running) => {
    parked = running;
    await eventually(() => {
      expect(running.activities.reasons.get('parked')).toMatchObject({ code: 'definition-failed', step: 'broken' });
    });
  });
  const { activities, end, operate } = parked!;
  await underRelease('test/workflow/support/mended-sagas.ts', parked!, async () => {
    expect(await operate({ action: 'retry', step: 'broken' })).toBe('resumed');
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
  const start = { plan: { ...faultySaga.plan, deadlineMs: 8_000 } };
  await withSaga({ definition: faultySaga, start }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
    expect(activities.log).toEqual(['first/do', 'parked', 'compensating', 'first/undo', 'compensated']);
  });
});
