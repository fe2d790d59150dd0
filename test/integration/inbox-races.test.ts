import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';
import {
  createParticipant,
  type InboxAnswer,
  type Message,
  type MessageHandler,
  type Participant,
} from '../../src/participant/index.js';
import { RejectedError } from '../../src/saga/errors.js';
import { eventually } from '../support/eventually.js';
import { useDatabase } from '../support/databases.js';
import {
  freshSagaId,
  inboxStatus,
  messageFor,
  notedAmount,
  notes,
  openNotes,
  repeat,
} from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;

beforeAll(async () => {
  pool = await openNotes(database.url);
});

afterAll(() => pool?.end());

type Write = MessageHandler<{ amount: number }, { noted: number }>;

const write: Write = async (tx, { amount }, { effectKey }) => {
  await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
  return { noted: amount };
};

function participantWith(handler: Write): Participant {
  return createParticipant({ consumer: 'notes', pool })
    .handle(notes.write, handler)
    .handle(notes.erase, async (tx, { amount }, { effectKey }) => {
      await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, -amount]);
      return { erased: amount };
    })
    .build();
}

const doMessage = (sagaId: string, revision = 0): Message =>
  messageFor({ sagaId, type: 'notes.write', payload: { amount: 5 }, revision });
const undoMessage = (sagaId: string): Message =>
  messageFor({ sagaId, type: 'notes.erase', action: 'undo', payload: { amount: 5 } });

const viaOf = (answers: readonly InboxAnswer[]): string[] => answers.map(({ via }) => via).sort();

/** Resolves as soon as a session waits for another's row: the point at which the two deliveries have met. */
function someoneWaits(): Promise<void> {
  return eventually(async () => {
    const { rows } = await pool.query<{ waiting: number }>(
      `select count(*) as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'`,
    );
    if (rows[0]!.waiting === 0) throw new Error('nobody waits yet');
  });
}

describe('deliveries that meet', () => {
  it('50 duplicates at once run the work once, and all get its result', async () => {
    const saga = freshSagaId();
    let runs = 0;
    const participant = participantWith((tx, payload, message) => {
      runs += 1;
      return write(tx, payload, message);
    });
    const answers = await Promise.all(Array.from({ length: 50 }, () => participant.deliver(doMessage(saga))));
    expect(runs).toBe(1);
    expect(viaOf(answers)).toEqual([...Array.from({ length: 49 }, () => 'record'), 'work']);
    expect(answers.every((answer) => answer.kind === 'applied')).toBe(true);
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('a duplicate waits for the first and runs itself when the first fails', async () => {
    const saga = freshSagaId();
    let runs = 0;
    const participant = participantWith(async (tx, payload, message) => {
      runs += 1;
      if (runs > 1) return write(tx, payload, message);
      await someoneWaits();
      throw new Error('the first attempt broke');
    });
    const first = participant.deliver(doMessage(saga));
    const both = Promise.allSettled([first, participant.deliver(doMessage(saga))]);
    expect((await both).map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('an undo that meets its do under way waits for it and takes it back', async () => {
    const saga = freshSagaId();
    let undone: Promise<InboxAnswer> | undefined;
    const participant = participantWith(async (tx, payload, message) => {
      undone = participant.deliver(undoMessage(saga));
      await someoneWaits();
      return write(tx, payload, message);
    });
    expect(await participant.deliver(doMessage(saga))).toMatchObject({ kind: 'applied', via: 'work' });
    expect(await undone).toMatchObject({ kind: 'applied', via: 'work', result: { erased: 5 } });
    expect(await notedAmount(pool, saga)).toBe(0);
  });

  it('a do and its undo, sent at the same moment 200 times, keep the books', async () => {
    const participant = participantWith(write);
    const seen = new Set<string>();
    await repeat(200, async (round) => {
      const saga = freshSagaId();
      const messages = [doMessage(saga), undoMessage(saga), doMessage(saga), undoMessage(saga)];
      const order = round % 2 === 0 ? messages : messages.toReversed();
      // a do needs a statement less to be first: every other undo has a start of up to some ms, so that each order is met
      const startMs = round % 2 === 0 ? 0 : round % 16;
      const answers = await Promise.all(
        order.map(async (message, place) => {
          if (place > 0 && startMs > 0) await pause(startMs);
          return participant.deliver(message);
        }),
      );
      for (const { via } of answers) seen.add(via);
      expect([saga, await notedAmount(pool, saga)]).toEqual([saga, 0]);
    });
    // both orders were really met
    expect([...seen]).toEqual(expect.arrayContaining(['work', 'nothing-to-undo', 'tombstone']));
  });

  it('of many higher revisions over a rejection at once, one runs', async () => {
    const saga = freshSagaId();
    let runs = 0;
    const participant = participantWith((tx, payload, message) => {
      if (message.revision === 0) throw new RejectedError('full', 'the page is full');
      runs += 1;
      return write(tx, payload, message);
    });
    await participant.deliver(doMessage(saga));
    const revisions = Array.from({ length: 12 }, (_, at) => 1 + (at % 3));
    const answers = await Promise.all(revisions.map((revision) => participant.deliver(doMessage(saga, revision))));
    expect(runs).toBe(1);
    expect(answers.every((answer) => answer.kind === 'applied')).toBe(true);
    expect(await notedAmount(pool, saga)).toBe(5);
  });

  it('a deadlock of the work is run again, not answered', async () => {
    await pool.query('create table notes.page (id int primary key)');
    await pool.query('insert into notes.page values (1), (2)');
    const met = new Set<string>();
    const participant = participantWith(async (tx, payload, message) => {
      const pages = message.effect.step === 'forth' ? [1, 2] : [2, 1];
      await tx.query('select 1 from notes.page where id = $1 for update', [pages[0]]);
      met.add(message.effectKey);
      await eventually(() => {
        if (met.size < 2) throw new Error('the other has not locked its page');
      });
      await tx.query('select 1 from notes.page where id = $1 for update', [pages[1]]);
      return write(tx, payload, message);
    });
    const saga = freshSagaId();
    const steps = ['forth', 'back'].map((step) => messageFor({ ...doMessage(saga), step }));
    const answers = await Promise.all(steps.map((message) => participant.deliver(message)));
    expect(answers.map(({ kind }) => kind)).toEqual(['applied', 'applied']);
    expect(await notedAmount(pool, saga)).toBe(10);
    expect(await inboxStatus(pool, steps[0]!)).toBe('applied');
  });
});
