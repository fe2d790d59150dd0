import type pg from 'pg';
import { reportStuckSagas } from '../../activities/notices.js';
import { childSagaId, holdChild, lookAtChild, takeChildBack, type NewChild } from '../../src/db/child-sagas.js';
import { lockParked, parkedSteps } from '../../src/db/parked-queries.js';
import { withTransaction } from '../../src/db/pool.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { requestCancel } from '../../src/db/saga-cancel.js';
import { acceptSaga, recordState } from '../../src/db/saga-store.js';
import { FencedError } from '../../src/saga/errors.js';
import { isSagaId, type EffectId } from '../../src/saga/ids.js';
import { placeFirstOrderSaga } from '../../workflows/first-orders.js';
import { registerUserSaga } from '../../workflows/registrations.js';
import { useDatabase } from '../support/databases.js';
import { openPool } from '../support/pools.js';
import { newSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;
beforeAll(() => {
  pool = openPool(database.url, { max: 12 });
});
afterAll(() => pool.end());

const reason = { code: 'no-money', message: 'there is none' };
const OUTPUT = { userId: 'u-1' };

interface Family {
  readonly parent: string;
  readonly child: string;
  readonly effect: EffectId;
  readonly look: () => ReturnType<typeof lookAtChild>;
}

/** A saga whose first step is another saga, which is accepted unless told otherwise. */
async function startFamily({ isAccepted = true } = {}): Promise<Family> {
  const { id: parent } = await acceptSaga(pool, newSaga({ type: 'place-first-order', plan: placeFirstOrderSaga.plan }));
  const effect = { sagaId: parent, step: 'customer', action: 'do' } as const;
  const child: NewChild = {
    ...{
      effect,
      tenantId: 'default',
      type: 'register-user',
      businessKey: 'u-1',
      plan: registerUserSaga.plan,
      input: {},
    },
  };
  const look = (): ReturnType<typeof lookAtChild> => lookAtChild(pool, effect, () => child);
  if (isAccepted) await look();
  return { parent, child: childSagaId(effect), effect, look };
}

const compensate = (sagaId: string): Promise<unknown> =>
  withTransaction(pool, (tx) => recordState(tx, { sagaId, state: 'compensating', reason }));
const hold = (sagaId: string): ReturnType<typeof holdChild> => holdChild(pool, { sagaId, output: OUTPUT });
const stateOf = async (sagaId: string): Promise<string> =>
  (await pool.query<{ state: string }>('select state from settle.saga where id = $1', [sagaId])).rows[0]!.state;

describe('a saga as a step of another is accepted once', () => {
  test('with an id that is always the same, and bears its parent’s time', async () => {
    const { parent, child, look } = await startFamily();
    expect(isSagaId(child)).toBe(true);
    expect(child.slice(0, 16)).toBe(parent.slice(0, 16));
    const looks = await Promise.all(Array.from({ length: 8 }, look));
    expect(looks).toEqual(Array.from({ length: 8 }, () => ({ child, isOpen: true })));
    const { rows } = await pool.query('select id, parent_step from settle.saga where parent_id = $1', [parent]);
    expect(rows).toEqual([{ id: child, parent_step: 'customer' }]);
  });

  test('of many that accept it at the same moment one is told to start it', async () => {
    const { look } = await startFamily({ isAccepted: false });
    const looks = await Promise.all(Array.from({ length: 8 }, look));
    expect(looks.filter(({ start }) => start !== undefined)).toHaveLength(1);
    expect(looks.find(({ start }) => start)?.start).toMatchObject({ parent: { step: 'customer' }, businessKey: 'u-1' });
  });

  test('and never after its parent has decided to compensate, or is to be cancelled', async () => {
    const decided = await startFamily({ isAccepted: false });
    await compensate(decided.parent);
    await expect(decided.look()).rejects.toBeInstanceOf(FencedError);
    const cancelled = await startFamily({ isAccepted: false });
    await requestCancel(pool, { tenantId: 'default', sagaId: cancelled.parent, reason });
    await expect(cancelled.look()).rejects.toBeInstanceOf(FencedError);
    expect(await takeChildBack(pool, { ...decided.effect, action: 'undo' })).toMatchObject({ isOpen: false });
  });
});

describe('a child that is done is held', () => {
  test('its parent goes on with what it returns, and it settles when the parent has', async () => {
    const { parent, child, look } = await startFamily();
    expect(await hold(child)).toEqual({ isOpen: true });
    expect(await stateOf(child)).toBe('held');
    expect(await look()).toEqual({ child, isOpen: false, answer: OUTPUT });
    await expect(settleSaga(pool, { sagaId: child, outcome: 'completed' })).rejects.toBeInstanceOf(FencedError);
    await settleSaga(pool, { sagaId: parent, outcome: 'completed' });
    expect(await hold(child)).toEqual({ isOpen: false, answer: { kind: 'release' } });
    await settleSaga(pool, { sagaId: child, outcome: 'completed' });
    expect(await stateOf(child)).toBe('completed');
  });

  test('what it returned first stays, however often its workflow is started anew', async () => {
    const { child, look } = await startFamily();
    await hold(child);
    await holdChild(pool, { sagaId: child, output: { userId: 'another' } });
    expect(await look()).toMatchObject({ answer: OUTPUT });
  });

  test('a client cannot cancel it, and its own deadline does not count any more', async () => {
    const { child } = await startFamily();
    await hold(child);
    expect(await requestCancel(pool, { tenantId: 'default', sagaId: child, reason })).toBe('held');
    expect(await compensate(child)).toEqual({ mustGoForward: true });
    expect(await stateOf(child)).toBe('held');
  });

  test('a cancel that was accepted before wins', async () => {
    const { child, look } = await startFamily();
    expect(await requestCancel(pool, { tenantId: 'default', sagaId: child, reason })).toBe('requested');
    await expect(hold(child)).rejects.toMatchObject({ reason });
    expect(await look()).toMatchObject({ isOpen: true });
  });

  test('between holding it and a cancel exactly one is so', async () => {
    for (let round = 0; round < 20; round += 1) {
      const { child } = await startFamily();
      const [held, cancelled] = await Promise.all([
        hold(child).then(
          () => 'held',
          () => 'refused',
        ),
        requestCancel(pool, { tenantId: 'default', sagaId: child, reason }),
      ]);
      expect(['held held', 'refused requested']).toContain(`${held} ${cancelled}`);
    }
  });
});

describe('a child that its parent has let go', () => {
  const park = (sagaId: string): Promise<unknown> =>
    withTransaction(pool, (tx) =>
      recordState(tx, { sagaId, state: 'parked', reason: { ...reason, step: 'welcome' }, action: 'do' }),
    );
  const parkedStepsOf = (sagaId: string): Promise<object[]> =>
    withTransaction(pool, async (tx) => {
      const saga = await lockParked(tx, { tenantId: 'default', sagaId });
      return parkedSteps(saga!).map(({ step, actions }) => ({ step: step.name, actions }));
    });

  test('parks like any other where a person can see it, and can no longer compensate', async () => {
    const { parent, child } = await startFamily();
    await hold(child);
    await settleSaga(pool, { sagaId: parent, outcome: 'completed' });
    await hold(child);
    await park(child);
    expect(await stateOf(child)).toBe('parked');
    expect(await parkedStepsOf(child)).toEqual([{ step: 'welcome', actions: ['retry', 'resolve'] }]);
    const { rows } = await pool.query('select type, cause from settle.notice where subject_id = $1', [child]);
    expect(rows).toEqual([{ type: 'saga.parked', cause: reason.code }]);
    await withTransaction(pool, (tx) => recordState(tx, { sagaId: child, state: 'running', resumes: 'welcome' }));
    expect(await stateOf(child)).toBe('running');
  });
});

describe('a child is not stuck for having waited for its parent', () => {
  test('its time counts from when it was let go', async () => {
    const { parent, child } = await startFamily();
    await hold(child);
    await pool.query(`update settle.saga set accepted_at = now() - interval '30 days' where id = $1`, [child]);
    await reportStuckSagas(pool);
    await settleSaga(pool, { sagaId: parent, outcome: 'completed' });
    await hold(child);
    await reportStuckSagas(pool);
    const told = async (): Promise<unknown> =>
      (await pool.query('select cause from settle.notice where subject_id = $1', [child])).rows;
    expect(await told()).toEqual([]);
    await reportStuckSagas(pool, Date.now() + 30 * 86_400_000);
    expect(await told()).toEqual([{ cause: 'overdue' }]);
  });
});

describe('a parent that compensates takes its child back', () => {
  const undo = ({ effect }: Family): ReturnType<typeof takeChildBack> =>
    takeChildBack(pool, { ...effect, action: 'undo' });

  test('after it was held: it compensates, and the parent waits until it has', async () => {
    const family = await startFamily();
    const { parent, child } = family;
    await hold(child);
    await compensate(parent);
    expect(await undo(family)).toEqual({ child, isOpen: true });
    const verdict = { kind: 'take-back', reason: { code: 'parent-compensates' } };
    expect(await hold(child)).toMatchObject({ isOpen: false, answer: verdict });
    expect(await compensate(child)).toMatchObject({ begun: [] });
    await settleSaga(pool, { sagaId: child, outcome: 'compensated' });
    expect(await undo(family)).toEqual({ child, isOpen: false, answer: null });
  });

  test('while it is at work: it is not held any more', async () => {
    const family = await startFamily();
    await compensate(family.parent);
    await undo(family);
    await expect(hold(family.child)).rejects.toMatchObject({ reason: { code: 'parent-compensates' } });
  });

  test('the ledger knows of it, whatever the parent’s workflow has forgotten', async () => {
    const family = await startFamily();
    await hold(family.child);
    expect(await compensate(family.parent)).toMatchObject({ begun: ['customer'] });
  });

  test('one that has been undone by itself counts as rejected, with its reason, and needs no undo', async () => {
    const family = await startFamily();
    await compensate(family.child);
    await settleSaga(pool, { sagaId: family.child, outcome: 'compensated', reason });
    await expect(family.look()).rejects.toMatchObject(reason);
    expect(await compensate(family.parent)).toMatchObject({ begun: [] });
  });

  test('one that a person has ended as completed cannot be, and parks', async () => {
    const family = await startFamily();
    await pool.query(`update settle.saga set state = 'completed', finished_at = now() where id = $1`, [family.child]);
    await expect(undo(family)).rejects.toMatchObject({ code: 'child-completed' });
  });

  test('a parent that a person has ended as compensated takes it back as well', async () => {
    const family = await startFamily();
    await hold(family.child);
    await settleSaga(pool, { sagaId: family.parent, outcome: 'compensated', reason });
    expect(await hold(family.child)).toMatchObject({ answer: { kind: 'take-back' } });
  });
});
