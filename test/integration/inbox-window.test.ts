import type pg from 'pg';
import { v7 } from 'uuid';
import {
  createParticipant,
  keepInbox,
  type InboxAnswer,
  type Message,
  type Participant,
} from '../../src/participant/index.js';
import { sagaId } from '../../src/saga/ids.js';
import { useDatabase } from '../support/databases.js';
import { agedSagaId, DAY_MS, partitionsOf } from '../support/old-rows.js';
import { freshSagaId, messageFor, notedAmount, notes, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
const windowMs = 30 * DAY_MS;
let pool: pg.Pool;
let participant: Participant;

beforeAll(async () => {
  pool = await openNotes(database.url);
  participant = build({ windowMs, resendMs: 20 * DAY_MS });
});
afterAll(() => pool?.end());

function build(inbox: { windowMs: number; resendMs: number }): Participant {
  const add = async (key: string, amount: number): Promise<void> => {
    await pool.query('insert into notes.note (effect_key, amount) values ($1, $2)', [key, amount]);
  };
  return createParticipant({ consumer: 'notes', pool, inbox })
    .handle(notes.write, async (tx, { amount }, { effectKey }) => {
      await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
      return { noted: amount };
    })
    .handle(notes.erase, async (_tx, { amount }, { effectKey }) => {
      await add(effectKey, -amount);
      return { erased: amount };
    })
    .build();
}

const write = (saga: string, change: Partial<Message> = {}): Message => ({
  ...messageFor({ sagaId: saga, type: 'notes.write', payload: { amount: 5 } }),
  ...change,
});
const erase = (saga: string): Message =>
  messageFor({ sagaId: saga, type: 'notes.erase', action: 'undo', payload: { amount: 5 } });
const deliver = (message: Message): Promise<InboxAnswer> => participant.deliver(message);

/** Writes as a participant whose window was longer would have. */
async function applyAged(saga: string): Promise<void> {
  await build({ windowMs: 1_000 * DAY_MS, resendMs: 0 }).deliver(write(saga));
}

describe('a message older than the window', () => {
  test('is not applied blindly: neither a do nor an undo', async () => {
    const saga = agedSagaId(31);
    expect(await deliver(write(saga))).toMatchObject({ kind: 'refused', via: 'beyond-window' });
    expect(await deliver(erase(saga))).toMatchObject({ kind: 'refused', via: 'beyond-window' });
    expect(await notedAmount(pool, saga)).toBe(0);
    expect((await pool.query('select 1 from notes.inbox where saga_id = $1', [saga])).rowCount).toBe(0);
  });

  test('is answered from the record while that is still there', async () => {
    const saga = agedSagaId(31);
    await applyAged(saga);
    expect(await deliver(write(saga))).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await deliver(erase(saga))).toMatchObject({ kind: 'applied', via: 'work' });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  test('is applied when an operator has confirmed it, once, and remembered for a window of its own', async () => {
    const saga = agedSagaId(60);
    expect(await deliver(write(saga, { mayRepeat: true }))).toMatchObject({ kind: 'applied', via: 'work' });
    await keepInbox(pool, { schema: 'notes', windowMs });
    expect(await deliver(write(saga, { mayRepeat: true }))).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await deliver(write(saga))).toMatchObject({ kind: 'applied', via: 'record' });
    expect(await notedAmount(pool, saga)).toBe(5);
    await pool.query(`update notes.inbox set applied_at = now() - interval '32 days' where saga_id = $1`, [saga]);
    await keepInbox(pool, { schema: 'notes', windowMs });
    expect(await deliver(write(saga))).toMatchObject({ kind: 'refused', via: 'beyond-window' });
  });

  test('at the edge of the window is applied or refused, and its duplicates agree', async () => {
    const saga = sagaId(v7({ msecs: Date.now() - windowMs + 60_000 }));
    expect(await deliver(write(saga))).toMatchObject({ kind: 'applied', via: 'work' });
    await keepInbox(pool, { schema: 'notes', windowMs });
    expect(await deliver(write(saga))).toMatchObject({ kind: 'applied', via: 'record' });
  });
});

describe('upkeep of an inbox', () => {
  test('drops weeks past the window and no other', async () => {
    const [old, recent] = [agedSagaId(45), agedSagaId(20)];
    await applyAged(old);
    await applyAged(recent);
    // moved to its week, as one that was created in time would have held it
    await keepInbox(pool, { schema: 'notes', windowMs: 100 * DAY_MS });
    await keepInbox(pool, { schema: 'notes', windowMs });
    expect(await deliver(write(old))).toMatchObject({ via: 'beyond-window' });
    expect(await deliver(write(recent))).toMatchObject({ via: 'record' });
  });

  test('by many processes at once, while messages are delivered, loses no record', async () => {
    const sagas = Array.from({ length: 100 }, freshSagaId);
    await Promise.all([
      ...sagas.map((saga) => deliver(write(saga))),
      ...Array.from({ length: 10 }, () => keepInbox(pool, { schema: 'notes', windowMs })),
    ]);
    const again = await Promise.all(sagas.map((saga) => deliver(write(saga))));
    expect(new Set(again.map(({ via }) => via))).toEqual(new Set(['record']));
    expect(await partitionsOf(pool, 'notes.inbox')).toContain('inbox_default');
  });
});

test('I23: a participant refuses to start when its inbox forgets what may still be sent, with the numbers', () => {
  expect(() => build({ windowMs: 3 * DAY_MS, resendMs: 15 * DAY_MS })).toThrow(
    "'notes': the inbox window of 3 days is shorter than the 15 days in which its senders may send a message again; raise inbox.windowMs",
  );
});
