import { eventually } from '../support/eventually.js';
import { faultySaga, groupedSaga, guardedSaga, linearSaga, pivotedSaga } from './support/sagas.js';
import { withSaga, type Script } from './support/with-saga.js';

test('a healthy saga runs its steps in order, then completes', async () => {
  await withSaga({ definition: linearSaga }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['first/do', 'second/do', 'third/do', 'completed']);
    expect(activities.payloads.get('third/do')).toEqual({ after: { id: 'second' } });
  });
});

test('every message of a saga, and every undo, goes out under the trace that it was accepted with', async () => {
  const [script, traceparent] = [
    { 'third/do': ['rejected'] } as const,
    '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
  ];
  await withSaga({ definition: linearSaga, script, start: { traceparent } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated' });
    expect(activities.traces.length).toBeGreaterThan(2);
    expect(new Set(activities.traces)).toEqual(new Set([traceparent]));
  });
});

test('a rejected step is not undone, those before it are, in reverse order', async () => {
  await withSaga({ definition: linearSaga, script: { 'third/do': ['rejected'] } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-rejected', step: 'third' } });
    expect(activities.log).toEqual([
      ...['first/do', 'second/do', 'third/do', 'compensating', 'second/undo', 'first/undo', 'compensated'],
    ]);
    expect(activities.attempts.get('third/do')).toBe(1);
  });
});

test('promise 6: a step whose outcome is unknown counts as maybe applied and is undone too', async () => {
  await withSaga({ definition: linearSaga, script: { 'second/do': ['unknown'] } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'second' } });
    expect(activities.log).toEqual([
      'first/do',
      'second/do',
      'compensating',
      'second/undo',
      'first/undo',
      'compensated',
    ]);
    expect(activities.attempts.get('second/do')).toBeGreaterThan(3);
  });
});

test('a step that fails at first succeeds on the durable path', async () => {
  const script: Script = { 'second/do': ['unknown', 'unknown', 'unknown', 'unknown', 'done'] };
  await withSaga({ definition: linearSaga, script }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.attempts.get('second/do')).toBe(5);
  });
});

test('the members of a group run at the same time and are undone at the same time', async () => {
  let release = (): void => undefined;
  const both = new Promise<void>((resolve) => (release = resolve));
  const script: Script = { 'left/do': [both], 'right/do': [both], 'last/do': ['rejected'] };
  await withSaga({ definition: groupedSaga, script }, async ({ activities, end }) => {
    await eventually(() => {
      expect(activities.log).toEqual(expect.arrayContaining(['left/do', 'right/do']));
    });
    release();
    expect(await end).toMatchObject({ outcome: 'compensated' });
    const undone = activities.log.slice(activities.log.indexOf('compensating') + 1);
    expect(undone.slice(0, 2).sort()).toEqual(['left/undo', 'right/undo']);
    expect(undone.slice(2)).toEqual(['first/undo', 'compensated']);
  });
});

test('a member that is rejected stops the others, whose outcome is unknown and undone', async () => {
  const script: Script = { 'left/do': ['rejected'], 'right/do': ['unknown'] };
  await withSaga({ definition: groupedSaga, script }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-rejected', step: 'left' } });
    expect(activities.log).not.toContain('left/undo');
    expect(activities.log).not.toContain('last/do');
    const decided = activities.log.indexOf('compensating');
    expect(activities.log.slice(decided + 1)).toEqual(['right/undo', 'first/undo', 'compensated']);
  });
});

test('a member that is stopped in the moment in which it ends costs its saga no workflow task', async () => {
  for (const ms of [0, 1, 2, 4, 8, 16]) {
    const script: Script = { 'left/do': ['rejected'], 'right/do': [new Promise((resolve) => setTimeout(resolve, ms))] };
    await withSaga({ definition: groupedSaga, script }, async ({ end, failedTasks }) => {
      expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'left' } });
      expect(await failedTasks()).toBe(0);
    });
  }
});

test('no `do` is started after the decision to compensate', async () => {
  await withSaga({ definition: linearSaga, script: { 'second/do': ['unknown'] } }, async ({ activities, end }) => {
    let attemptsAtDecision: number | undefined;
    await eventually(() => {
      expect(activities.log).toContain('compensating');
      attemptsAtDecision ??= activities.attempts.get('second/do');
    });
    await end;
    expect(activities.attempts.get('second/do')).toBe(attemptsAtDecision);
  });
});

test('a pivot that is rejected compensates; the steps after it were never begun', async () => {
  await withSaga({ definition: pivotedSaga, script: { 'pivot/do': ['rejected'] } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'pivot' } });
    expect(activities.log).toEqual(['first/do', 'pivot/do', 'compensating', 'first/undo', 'compensated']);
  });
});

test('a step after the pivot that is rejected parks the saga, and an operator lets it go on', async () => {
  const script: Script = { 'after/do': ['rejected', 'done'] };
  await withSaga({ definition: pivotedSaga, script }, async ({ activities, end, operate }) => {
    await eventually(() => {
      expect(activities.log).toContain('parked');
    });
    expect(await operate({ action: 'retry', step: 'after' })).toBe('resumed');
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['first/do', 'pivot/do', 'after/do', 'parked', 'running', 'completed']);
  });
});

test('promise 6: an undo that fails for good parks the saga; it is never swallowed', async () => {
  const script: Script = { 'third/do': ['rejected'], 'second/undo': ['parked', 'done'] };
  await withSaga({ definition: linearSaga, script }, async ({ activities, end, operate }) => {
    await eventually(() => {
      expect(activities.log).toContain('parked');
    });
    expect(activities.reasons.get('parked')).toMatchObject({ code: 'test-parked', step: 'second' });
    expect(activities.log).not.toContain('first/undo');
    expect(await operate({ action: 'retry', step: 'second' })).toBe('resumed');
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'third' } });
    expect(activities.log.slice(-4)).toEqual(['parked', 'compensating', 'first/undo', 'compensated']);
  });
});

test('an undo is tried with a capped back-off until its budget is spent', async () => {
  const script: Script = { 'third/do': ['rejected'], 'second/undo': ['unknown'] };
  await withSaga({ definition: linearSaga, script }, async ({ activities }) => {
    await eventually(() => {
      expect(activities.log).toContain('parked');
    });
    expect(activities.attempts.get('second/undo')).toBeGreaterThan(5);
  });
});

test('a cancel compensates what was begun, and compensating cannot be cancelled', async () => {
  const script: Script = {
    'slow/do': ['unknown'],
    'slow/undo': ['unknown', 'unknown', 'unknown', 'unknown', 'unknown', 'done'],
  };
  const start = { plan: { ...guardedSaga.plan, deadlineMs: undefined } };
  await withSaga({ definition: guardedSaga, script, start }, async ({ activities, end, cancel }) => {
    await eventually(() => {
      expect(activities.attempts.get('slow/do')).toBeGreaterThan(3);
    });
    await cancel();
    await eventually(() => {
      expect(activities.log).toContain('compensating');
    });
    await cancel();
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
    expect(activities.log).toEqual(['first/do', 'slow/do', 'compensating', 'slow/undo', 'first/undo', 'compensated']);
  });
});

test('a cancel from the Temporal Web UI compensates as well', async () => {
  const script: Script = { 'slow/do': ['unknown'] };
  const start = { plan: { ...guardedSaga.plan, deadlineMs: undefined } };
  await withSaga({ definition: guardedSaga, script, start }, async ({ cancelWorkflow, activities, end }) => {
    await eventually(() => {
      expect(activities.attempts.get('slow/do')).toBeGreaterThan(3);
    });
    await cancelWorkflow();
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
    expect(activities.log.slice(-3)).toEqual(['slow/undo', 'first/undo', 'compensated']);
  });
});

test('a saga in trouble compensates at its deadline', async () => {
  await withSaga({ definition: guardedSaga, script: { 'slow/do': ['unknown'] } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'deadline' } });
    expect(activities.log.slice(-3)).toEqual(['slow/undo', 'first/undo', 'compensated']);
  });
});

test('a step whose guard says no is skipped', async () => {
  await withSaga({ definition: guardedSaga }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['first/do', 'slow/do', 'completed']);
  });
  await withSaga({ definition: guardedSaga, start: { input: { wanted: true } } }, async ({ activities, end }) => {
    await end;
    expect(activities.log).toEqual(['first/do', 'extra/do', 'slow/do', 'completed']);
  });
});

test('promise 6: a step that only the ledger knows of is undone too', async () => {
  const script: Script = { 'second/do': ['rejected'] };
  const records = { compensating: { begun: ['first', 'third'] } };
  await withSaga({ definition: linearSaga, script, records }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { step: 'second' } });
    expect(activities.log.slice(2)).toEqual(['compensating', 'third/undo', 'first/undo', 'compensated']);
  });
});

test('a saga whose ledger says that it has settled undoes nothing', async () => {
  const script: Script = { 'second/do': ['rejected'] };
  const records = { compensating: { outcome: 'completed' } } as const;
  await withSaga({ definition: linearSaga, script, records }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['first/do', 'second/do', 'compensating']);
  });
});

test('a saga whose ledger says that it has passed its pivot goes forward, whatever made it compensate', async () => {
  const script: Script = { 'pivot/do': ['rejected', 'done'] };
  const records = { compensating: { mustGoForward: true } };
  await withSaga({ definition: pivotedSaga, script, records }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'completed' });
    expect(activities.log).toEqual(['first/do', 'pivot/do', 'compensating', 'after/do', 'completed']);
  });
});

test('a saga whose ledger has decided to compensate does not go forward again', async () => {
  await withSaga({ definition: linearSaga, script: { 'second/do': ['fenced'] } }, async ({ activities, end }) => {
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-fenced' } });
    expect(activities.log).toEqual([
      'first/do',
      'second/do',
      'compensating',
      'second/undo',
      'first/undo',
      'compensated',
    ]);
  });
});

test('promise 9: a saga keeps the plan that it was accepted with, and one that this release cannot run parks', async () => {
  const [first, , third] = linearSaga.plan.items;
  await withSaga(
    { definition: linearSaga, start: { plan: { ...linearSaga.plan, items: [first!] } } },
    async ({ activities, end }) => {
      await end;
      expect(activities.log).toEqual(['first/do', 'completed']);
    },
  );
  const gone = { ...third!, name: 'gone' } as typeof first;
  const start = { plan: { ...linearSaga.plan, items: [first!, gone!] } };
  await withSaga({ definition: linearSaga, start }, async ({ activities, end, cancel }) => {
    await eventually(() => {
      expect(activities.log).toContain('parked');
    });
    expect(activities.reasons.get('parked')).toMatchObject({ code: 'unknown-step', step: 'gone' });
    await cancel();
    expect(await end).toMatchObject({ outcome: 'compensated' });
  });
});

test('an exception in the code of a step parks the saga instead of failing its workflow task for ever', async () => {
  await withSaga({ definition: faultySaga }, async ({ activities, end, cancel }) => {
    await eventually(() => {
      expect(activities.reasons.get('parked')).toMatchObject({ code: 'definition-failed', step: 'broken' });
    });
    await cancel();
    expect(await end).toMatchObject({ outcome: 'compensated', reason: { code: 'cancelled' } });
    expect(activities.log).toEqual(['first/do', 'parked', 'compensating', 'first/undo', 'compensated']);
  });
});
