import { eventually } from '../support/eventually.js';
import { groupedSaga, linearSaga, pivotedSaga } from './support/sagas.js';
import { withSaga, type Running, type Script } from './support/with-saga.js';

const parked = ({ activities }: Pick<Running, 'activities'>): Promise<void> =>
  eventually(() => {
    expect(activities.log).toContain('parked');
  });

describe('a step that is parked before the pivot', () => {
  const script: Script = { 'second/do': ['parked', 'done'] };

  test.each(['retry', 'skip', 'edit'] as const)(
    'goes on after %s, with what the ledger answers then',
    async (action) => {
      await withSaga({ definition: linearSaga, script }, async (running) => {
        await parked(running);
        await running.operate({ action, step: 'second' });
        expect(await running.end).toMatchObject({ outcome: 'completed' });
        const { log, payloads } = running.activities;
        expect(log).toEqual(['first/do', 'second/do', 'parked', 'running', 'third/do', 'completed']);
        expect(payloads.get('third/do')).toEqual({ after: { id: 'second' } });
      });
    },
  );

  test('is taken back with the others after compensate, for the reason that the operator gave', async () => {
    await withSaga({ definition: linearSaga, script: { 'second/do': ['parked'] } }, async (running) => {
      await parked(running);
      await running.operate({ action: 'compensate', step: 'second' });
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-compensate' } });
      const { log } = running.activities;
      expect(log.slice(log.indexOf('parked') + 1)).toEqual([
        'compensating',
        'second/undo',
        'first/undo',
        'compensated',
      ]);
    });
  });

  test.each(['completed', 'compensated'] as const)(
    'ends as %s after resolve: nothing more is done or undone',
    async (outcome) => {
      await withSaga({ definition: linearSaga, script: { 'second/do': ['parked'] } }, async (running) => {
        await parked(running);
        await running.operate({ action: 'resolve', step: 'second', outcome });
        expect(await running.end).toMatchObject({ outcome, reason: { code: 'test-resolve' } });
        expect(running.activities.log).toEqual(['first/do', 'second/do', 'parked']);
      });
    },
  );
});

describe('a step that is parked after the pivot', () => {
  const script: Script = { 'after/do': ['rejected', 'done'] };

  test.each(['retry', 'skip', 'edit'] as const)('goes on after %s', async (action) => {
    await withSaga({ definition: pivotedSaga, script }, async (running) => {
      await parked(running);
      await running.operate({ action, step: 'after' });
      expect(await running.end).toMatchObject({ outcome: 'completed' });
      expect(running.activities.log.slice(-3)).toEqual(['parked', 'running', 'completed']);
    });
  });

  test('ends after resolve', async () => {
    await withSaga({ definition: pivotedSaga, script: { 'after/do': ['rejected'] } }, async (running) => {
      await parked(running);
      await running.operate({ action: 'resolve', step: 'after', outcome: 'completed' });
      expect(await running.end).toMatchObject({ outcome: 'completed', reason: { code: 'test-resolve' } });
    });
  });

  test('a pivot that may have happened and has no undo is given up when an operator says so', async () => {
    await withSaga({ definition: pivotedSaga, script: { 'pivot/do': ['parked'] } }, async (running) => {
      await parked(running);
      await running.operate({ action: 'compensate', step: 'pivot' });
      expect(await running.end).toMatchObject({ outcome: 'compensated' });
      expect(running.activities.log.slice(-3)).toEqual(['compensating', 'first/undo', 'compensated']);
    });
  });
});

describe('an undo that is parked', () => {
  const script: Script = { 'third/do': ['rejected'], 'second/undo': ['parked', 'done'] };

  test.each(['retry', 'skip', 'edit'] as const)('goes on after %s, and the saga ends compensated', async (action) => {
    await withSaga({ definition: linearSaga, script }, async (running) => {
      await parked(running);
      await running.operate({ action, step: 'second' });
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-rejected' } });
      expect(running.activities.log.slice(-4)).toEqual(['parked', 'compensating', 'first/undo', 'compensated']);
    });
  });

  test('ends after resolve, and what was not undone stays', async () => {
    await withSaga({ definition: linearSaga, script }, async (running) => {
      await parked(running);
      await running.operate({ action: 'resolve', step: 'second', outcome: 'compensated' });
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-resolve' } });
      expect(running.activities.log).not.toContain('first/undo');
    });
  });

  test('is not given up by a compensate that comes late: it waits on', async () => {
    await withSaga({ definition: linearSaga, script }, async (running) => {
      await parked(running);
      await running.operate({ action: 'compensate', step: 'second' });
      expect(await running.operate({ action: 'retry', step: 'second' })).toBe('resumed');
      expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-rejected' } });
    });
  });
});

test('an action that is told twice counts once', async () => {
  const script: Script = { 'second/do': ['parked', 'parked', 'done'] };
  await withSaga({ definition: linearSaga, script }, async (running) => {
    await parked(running);
    const action = { actionId: 'a-1', action: 'retry', step: 'second' } as const;
    await running.operate(action);
    await eventually(() => {
      expect(running.activities.attempts.get('second/do')).toBe(2);
    });
    expect(await running.operate(action)).toBe('repeated');
    await running.operate({ ...action, actionId: 'a-2' });
    expect(await running.end).toMatchObject({ outcome: 'completed' });
    expect(running.activities.attempts.get('second/do')).toBe(3);
  });
});

test('an action that comes before its step has parked is taken up when it does', async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const refuse = held.then(() => {
    throw Object.assign(new Error('no answer'), { name: 'RetryableError' });
  });
  refuse.catch(() => undefined);
  await withSaga({ definition: linearSaga, script: { 'second/do': [refuse, 'parked', 'done'] } }, async (running) => {
    await eventually(() => {
      expect(running.activities.log).toContain('second/do');
    });
    const answer = running.operate({ action: 'retry', step: 'second' });
    release();
    expect(await answer).toMatch(/noted|resumed/);
    expect(await running.end).toMatchObject({ outcome: 'completed' });
    expect(running.activities.log).toContain('parked');
  });
});

test('each of several parked steps is decided for itself, and the whole by one verdict', async () => {
  const script: Script = { 'left/do': ['parked', 'done'], 'right/do': ['parked', 'done'] };
  await withSaga({ definition: groupedSaga, script }, async (running) => {
    await parked(running);
    await running.operate({ action: 'retry', step: 'left' });
    await eventually(() => {
      expect(running.activities.attempts.get('left/do')).toBe(2);
    });
    expect(running.activities.attempts.get('right/do')).toBe(1);
    await running.operate({ action: 'retry', step: 'right' });
    expect(await running.end).toMatchObject({ outcome: 'completed' });
  });
  await withSaga({ definition: groupedSaga, script }, async (running) => {
    await parked(running);
    await running.operate({ action: 'compensate', step: 'left' });
    expect(await running.end).toMatchObject({ outcome: 'compensated', reason: { code: 'test-compensate' } });
    expect(running.activities.log).toEqual(expect.arrayContaining(['left/undo', 'right/undo', 'first/undo']));
  });
});

test('a saga that was ended in the ledger ends, and takes nothing back', async () => {
  await withSaga({ definition: linearSaga, script: { 'second/do': ['settled'] } }, async (running) => {
    expect(await running.end).toMatchObject({ outcome: 'completed', reason: { code: 'test-settled' } });
    expect(running.activities.log).toEqual(['first/do', 'second/do']);
  });
});
