import type pg from 'pg';
import { withTransaction } from '../../src/db/pool.js';
import {
  createInbox,
  type Inbox,
  type InboxAnswer,
  type Message,
  type Transaction,
} from '../../src/participant/index.js';
import { RejectedError } from '../../src/saga/errors.js';
import { useDatabase } from '../support/databases.js';
import { freshSagaId, inboxStatus, messageFor, notedAmount, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;
const inbox: Inbox = createInbox({ consumer: 'notes', schema: 'notes' });

beforeAll(async () => {
  pool = await openNotes(database.url);
});

afterAll(() => pool?.end());

type Work = (tx: Transaction, message: Message) => Promise<unknown>;

const note: Work = async (tx, { effectKey, payload }) => {
  const { amount } = payload as { amount: number };
  await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
  return { noted: amount };
};
const erase: Work = async (tx, { effectKey, payload }) => {
  const { amount } = payload as { amount: number };
  await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, -amount]);
  return { erased: amount };
};
const noteAndRefuse: Work = async (tx, message) => {
  await note(tx, message);
  throw new RejectedError('full', 'the page is full');
};
const mustNotRun: Work = () => Promise.reject(new Error('this work must not run'));

function apply(message: Message, work: Work): Promise<InboxAnswer> {
  return withTransaction(pool, (tx) => inbox.apply(tx, message, () => work(tx, message)));
}

const doMessage = (sagaId: string, amount = 5, revision = 0): Message =>
  messageFor({ sagaId, type: 'notes.write', payload: { amount }, revision });
const undoMessage = (sagaId: string, amount = 5): Message =>
  messageFor({ sagaId, type: 'notes.erase', action: 'undo', payload: { amount } });

describe('a repeated delivery', () => {
  it('runs the work once and gets the stored result', async () => {
    const saga = freshSagaId();
    expect(await apply(doMessage(saga), note)).toEqual({ kind: 'applied', via: 'work', result: { noted: 5 } });
    expect(await apply(doMessage(saga), mustNotRun)).toEqual({ kind: 'applied', via: 'record', result: { noted: 5 } });
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('gets the stored result even when the business rules would refuse it by now', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga), note);
    expect(await apply(doMessage(saga), noteAndRefuse)).toMatchObject({ kind: 'applied', via: 'record' });
  });

  it('gets the stored result under a higher revision too, with whatever payload', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga, 5), note);
    expect(await apply(doMessage(saga, 7, 1), mustNotRun)).toEqual({
      kind: 'applied',
      via: 'record',
      result: { noted: 5 },
    });
  });

  it('with another payload under the same key is refused and changes nothing', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga, 5), note);
    expect(await apply(doMessage(saga, 6), mustNotRun)).toMatchObject({ kind: 'refused', via: 'effect-key-reused' });
    expect(await apply(doMessage(saga, 5), mustNotRun)).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('is told apart per consumer', async () => {
    const saga = freshSagaId();
    const other = createInbox({ consumer: 'other', schema: 'notes' });
    await apply(doMessage(saga), note);
    const message = doMessage(saga);
    const answer = await withTransaction(pool, (tx) => other.apply(tx, message, () => note(tx, message)));
    expect(answer).toMatchObject({ kind: 'applied', via: 'work' });
  });
});

describe('the work and its record', () => {
  it('are one transaction, also when a higher revision took over a rejection', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga), noteAndRefuse);
    await apply(doMessage(saga, 5, 1), note);
    await apply(undoMessage(saga), erase);
    const { rows } = await pool.query<{ same: boolean }>(
      `select i.txid = n.txid as same from notes.inbox i join notes.note n using (effect_key) where i.saga_id = $1`,
      [saga],
    );
    expect(rows).toEqual([{ same: true }, { same: true }]);
  });

  it('are both gone when the work fails, and the next delivery runs it', async () => {
    const saga = freshSagaId();
    const failing: Work = async (tx, message) => {
      await note(tx, message);
      throw new Error('the disk is gone');
    };
    await expect(apply(doMessage(saga), failing)).rejects.toThrow('the disk is gone');
    expect(await inboxStatus(pool, doMessage(saga))).toBeUndefined();
    expect(await apply(doMessage(saga), note)).toMatchObject({ kind: 'applied', via: 'work' });
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('are both gone when the connection is cut before the commit', async () => {
    const saga = freshSagaId();
    const cut: Work = async (tx, message) => {
      await note(tx, message);
      const { rows } = await tx.query<{ pid: number }>('select pg_backend_pid() as pid');
      await pool.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
      return { noted: 5 };
    };
    await expect(apply(doMessage(saga), cut)).rejects.toThrow();
    expect(await notedAmount(pool, saga)).toBe(0);
    expect(await apply(doMessage(saga), note)).toMatchObject({ kind: 'applied', via: 'work' });
  });
});

describe('a rejection', () => {
  it('is stored and undoes the writes of its work', async () => {
    const saga = freshSagaId();
    const reason = { code: 'full', message: 'the page is full' };
    expect(await apply(doMessage(saga), noteAndRefuse)).toEqual({ kind: 'rejected', via: 'work', reason });
    expect(await apply(doMessage(saga), mustNotRun)).toEqual({ kind: 'rejected', via: 'record', reason });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  it('is kept after a statement of the work has failed too', async () => {
    const saga = freshSagaId();
    const refuse: Work = async (tx) => {
      await tx.query('select 1 / 0').catch((cause: unknown) => {
        throw new RejectedError('no-division', 'cannot be divided', { cause });
      });
    };
    expect(await apply(doMessage(saga), refuse)).toMatchObject({ kind: 'rejected', via: 'work' });
    expect(await inboxStatus(pool, doMessage(saga))).toBe('rejected');
  });

  it('is run again by a higher revision, and by nothing else', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga, 5, 1), noteAndRefuse);
    expect(await apply(doMessage(saga, 5, 1), mustNotRun)).toMatchObject({ kind: 'rejected', via: 'record' });
    expect(await apply(doMessage(saga, 4, 0), mustNotRun)).toMatchObject({ kind: 'rejected', via: 'record' });
    expect(await apply(doMessage(saga, 4, 2), note)).toMatchObject({ kind: 'applied', via: 'work' });
    expect(await apply(doMessage(saga, 4, 3), mustNotRun)).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await notedAmount(pool, saga)).toBe(4);
  });
});

describe('an undo', () => {
  it('takes back what was done, once', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga), note);
    expect(await apply(undoMessage(saga), erase)).toMatchObject({
      kind: 'applied',
      via: 'work',
      result: { erased: 5 },
    });
    expect(await apply(undoMessage(saga), mustNotRun)).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  it('that arrives before its do leaves a tombstone, and the late do is refused for ever', async () => {
    const saga = freshSagaId();
    const undone = await apply(undoMessage(saga), mustNotRun);
    expect(undone).toEqual({ kind: 'applied', via: 'nothing-to-undo', result: null });
    for (const revision of [0, 1, 99]) {
      const late = await apply(doMessage(saga, 5, revision), mustNotRun);
      expect(late).toMatchObject({ kind: 'refused', via: 'tombstone', reason: { code: 'tombstone' } });
    }
    expect(await apply(undoMessage(saga), mustNotRun)).toMatchObject({ kind: 'applied', via: 'record', result: null });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  it('of a rejected do runs nothing, and no revision can do it any more', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga), noteAndRefuse);
    expect(await apply(undoMessage(saga), mustNotRun)).toMatchObject({ via: 'nothing-to-undo' });
    expect(await apply(doMessage(saga, 5, 7), mustNotRun)).toMatchObject({ kind: 'refused', via: 'tombstone' });
    expect(await inboxStatus(pool, doMessage(saga))).toBe('tombstone');
  });

  it('that was refused runs again under a higher revision', async () => {
    const saga = freshSagaId();
    await apply(doMessage(saga), note);
    const stuck: Work = () => Promise.reject(new RejectedError('locked', 'the page is locked'));
    expect(await apply(undoMessage(saga), stuck)).toMatchObject({ kind: 'rejected' });
    const again = messageFor({ ...undoMessage(saga), action: 'undo', revision: 1 });
    expect(await apply(again, erase)).toMatchObject({ kind: 'applied', via: 'work' });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  it('of one step leaves the other steps of its saga alone', async () => {
    const saga = freshSagaId();
    await apply(messageFor({ ...undoMessage(saga), action: 'undo', step: 'first' }), mustNotRun);
    const second = messageFor({ ...doMessage(saga), step: 'second' });
    expect(await apply(second, note)).toMatchObject({ kind: 'applied', via: 'work' });
  });
});
