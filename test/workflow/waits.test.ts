import { eventually } from '../support/eventually.js';
import { childSaga, lateWaitingSaga, parentSaga, waitingSaga } from './support/sagas.js';
import { withSaga, type Running, type Script } from './support/with-saga.js';

const parent = { sagaId: 'sg_0198c5a0-7e1c-7000-8000-000000000001', step: 'second' };

/** Until the ledger has been asked about an effect this often. */
const untilAsked = ({ activities }: Pick<Running, 'activities'>, effect: string, times = 1): Promise<void> =>
  eventually(() => {
    expect(activities.attempts.get(effect) ?? 0).toBeGreaterThanOrEqual(times);
  });

describe('a wait', () => {
  test('goes on when it is told of the event, with its body for the steps after it', async () => {
    await withSaga({ definition: waitingSaga, script: { 'payment/do': ['open', 'done'] } }, async (running) => {
      await untilAsked(running, 'payment/do');
      await running.tell();
      expect(await running.end).toMatchObject({ outcome: 'completed' });
      expect(running.activities.payloads.get('third/do')).toEqual({ after: { id: 'payment' } });
      expect(running.activities.attempts.get('payment/do')).toBe(2);
    });
  });

  test('does not wait for an event that the ledger has already', async () => {
    await withSaga({ definition: waitingSaga }, async ({ activities, end }) => {
      expect(await end).toMatchObject({ outcome: 'completed' });
      expect(activities.log).toEqual(['first/do', 'payment/do', 'third/do', 'completed']);
    });
  });

  test('believes the ledger and not whoever tells it: without an event there it waits on', async () => {
    await withSaga(
      { definition: waitingSaga, script: { 'payment/do': ['open', 'open', 'open', 'done'] } },
      async (running) => {
        for (const times of [1, 2, 3]) {
          await untilAsked(running, 'payment/do', times);
          expect(running.activities.log).not.toContain('third/do');
          await running.tell();
        }
        expect(await running.end).toMatchObject({ outcome: 'completed' });
      },
    );
  });

  test('compensates when the ledger says that its time is over', async () => {
    await withSaga({ definition: waitingSaga, script: { 'payment/do': ['open', 'rejected'] } }, async (running) => {
      await untilAsked(running, 'payment/do');
      await running.tell();
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { step: 'payment' } });
      expect(running.activities.log.slice(-3)).toEqual(['compensating', 'first/undo', 'compensated']);
    });
  });

  test('compensates at the deadline of its saga', async () => {
    await withSaga({ definition: waitingSaga, script: { 'payment/do': ['open'] } }, async ({ activities, end }) => {
      expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
      expect(activities.log).not.toContain('third/do');
    });
  });

  test('ends with a cancel, and never parks on the way', async () => {
    const start = { plan: { ...waitingSaga.plan, deadlineMs: undefined } };
    await withSaga({ definition: waitingSaga, start, script: { 'payment/do': ['open'] } }, async (running) => {
      await untilAsked(running, 'payment/do');
      await running.cancel();
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
      expect(running.activities.log.slice(-3)).toEqual(['compensating', 'first/undo', 'compensated']);
      expect(running.activities.log).not.toContain('parked');
    });
  });

  test('after the pivot parks when its time is over, and an event that comes late lets it go on', async () => {
    const script: Script = { 'payment/do': ['open', 'rejected', 'done'] };
    await withSaga({ definition: lateWaitingSaga, script }, async (running) => {
      await untilAsked(running, 'payment/do');
      await running.cancel();
      await running.tell();
      await eventually(() => {
        expect(running.activities.reasons.get('parked')).toMatchObject({ step: 'payment' });
      });
      await running.tell();
      expect(await running.end).toMatchObject({ outcome: 'completed' });
      expect(running.activities.log).toEqual(['pivot/do', 'payment/do', 'parked', 'running', 'completed']);
    });
  });
});

describe('a saga that runs another as a step', () => {
  test('waits for it, and goes on with what it returns', async () => {
    await withSaga({ definition: parentSaga, script: { 'second/do': ['open', 'done'] } }, async (running) => {
      await untilAsked(running, 'second/do');
      await running.tell();
      expect(await running.end).toMatchObject({ outcome: 'completed' });
      expect(running.activities.payloads.get('third/do')).toEqual({ after: { id: 'second' } });
    });
  });

  test('compensates the others when that one has been undone', async () => {
    await withSaga({ definition: parentSaga, script: { 'second/do': ['open', 'rejected'] } }, async (running) => {
      await untilAsked(running, 'second/do');
      await running.tell();
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-rejected' } });
      expect(running.activities.log.slice(2)).toEqual(['compensating', 'first/undo', 'compensated']);
    });
  });

  test('takes it back in its turn, and waits until nothing is left of it', async () => {
    const script: Script = { 'third/do': ['rejected'], 'second/undo': ['open', 'open', 'done'] };
    await withSaga({ definition: parentSaga, script }, async (running) => {
      for (const times of [1, 2]) {
        await untilAsked(running, 'second/undo', times);
        expect(running.activities.log).not.toContain('first/undo');
        await running.tell();
      }
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { step: 'third' } });
      expect(running.activities.log.slice(-4)).toEqual(['compensating', 'second/undo', 'first/undo', 'compensated']);
    });
  });

  test('takes back one that is still at work when it is cancelled', async () => {
    await withSaga({ definition: parentSaga, script: { 'second/do': ['open'] } }, async (running) => {
      await untilAsked(running, 'second/do');
      await running.cancel();
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
      expect(running.activities.log.slice(2)).toEqual(['compensating', 'second/undo', 'first/undo', 'compensated']);
    });
  });

  test('parks when what that one did can no longer be taken back', async () => {
    const script: Script = { 'third/do': ['rejected'], 'second/undo': ['parked', 'done'] };
    await withSaga({ definition: parentSaga, script }, async ({ activities, operate, end }) => {
      await eventually(() => {
        expect(activities.reasons.get('parked')).toMatchObject({ step: 'second' });
      });
      await operate({ action: 'retry', step: 'second' });
      expect(await end).toMatchObject({ outcome: 'compensated' });
    });
  });
});

describe('a saga that is a step of another', () => {
  test('holds before what cannot be taken back, and goes on when the other has completed', async () => {
    await withSaga(
      { definition: childSaga, start: { parent }, script: { 'held/do': ['open', 'done'] } },
      async (running) => {
        await untilAsked(running, 'held/do');
        expect(running.activities.log).toEqual(['first/do', 'held/do']);
        expect(running.activities.payloads.get('held')).toEqual({ of: 'first' });
        await running.tell();
        expect(await running.end).toMatchObject({ outcome: 'completed' });
        expect(running.activities.log).toEqual(['first/do', 'held/do', 'mail/do', 'completed']);
      },
    );
  });

  test('by itself does not hold', async () => {
    await withSaga({ definition: childSaga }, async ({ activities, end }) => {
      await end;
      expect(activities.log).toEqual(['first/do', 'mail/do', 'completed']);
    });
  });

  test('compensates when the other takes it back', async () => {
    const reason = { code: 'parent-compensates', message: 'taken back' };
    const script: Script = { 'held/do': ['open', 'done'] };
    const verdict = { kind: 'take-back', reason } as const;
    await withSaga({ definition: childSaga, start: { parent }, script, verdict }, async (running) => {
      await untilAsked(running, 'held/do');
      await running.cancel();
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason });
      expect(running.activities.log.slice(2)).toEqual(['compensating', 'first/undo', 'compensated']);
    });
  });

  test('once held, takes no other word: neither a stray cancel, nor Temporal’s, nor its own deadline', async () => {
    const plan = { ...childSaga.plan, deadlineMs: 8_000 };
    const acceptedAtMs = Date.now();
    await withSaga(
      { definition: childSaga, start: { parent, plan, acceptedAtMs }, script: { 'held/do': ['open', 'open', 'done'] } },
      async (running) => {
        await untilAsked(running, 'held/do');
        await running.cancelWorkflow();
        await running.cancel();
        await untilAsked(running, 'held/do', 2);
        // what it must not do at its deadline would take it a moment
        await eventually(() => expect(Date.now()).toBeGreaterThan(acceptedAtMs + plan.deadlineMs + 1_000));
        expect(running.activities.log).not.toContain('compensating');
        await running.tell();
        expect(await running.end).toMatchObject({ outcome: 'completed' });
      },
    );
  });

  test('that was started anew past its deadline goes on where the ledger says that it was done', async () => {
    const plan = { ...childSaga.plan, deadlineMs: 1 };
    const records = { compensating: { mustGoForward: true } };
    const start = { parent, plan, acceptedAtMs: Date.now() - 1_000 };
    await withSaga({ definition: childSaga, start, records }, async ({ activities, end }) => {
      expect(await end).toMatchObject({ outcome: 'completed' });
      expect(activities.log).toEqual(['compensating', 'first/do', 'held/do', 'mail/do', 'completed']);
    });
  });

  test('compensates when the ledger does not hold it, as a cancel was accepted before', async () => {
    await withSaga(
      { definition: childSaga, start: { parent }, script: { 'held/do': ['fenced'] } },
      async ({ activities, end }) => {
        expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-fenced' } });
        expect(activities.log).not.toContain('mail/do');
      },
    );
  });
});
