import fc from 'fast-check';
import type pg from 'pg';
import { createParticipant, type InboxAnswer, type Participant } from '../../src/participant/index.js';
import { RejectedError } from '../../src/saga/errors.js';
import type { StepAction } from '../../src/saga/ids.js';
import { useDatabase } from '../support/databases.js';
import { freshSagaId, messageFor, notedAmount, notes, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;

beforeAll(async () => {
  pool = await openNotes(database.url);
});

afterAll(() => pool?.end());

/** One delivery: of which step and action, with which amount, and whether the participant's rules would refuse it. */
interface Sent {
  readonly step: 'one' | 'two';
  readonly action: StepAction;
  readonly amount: number;
  readonly revision: number;
  readonly refuse: boolean;
}

const sent: fc.Arbitrary<Sent> = fc.record({
  step: fc.constantFrom('one', 'two'),
  action: fc.constantFrom('do', 'undo'),
  amount: fc.constantFrom(5, 7),
  revision: fc.integer({ min: 0, max: 2 }),
  refuse: fc.boolean(),
});

interface Effect {
  status: 'applied' | 'rejected' | 'tombstone';
  amount: number;
  revision: number;
}

/** What the inbox promises, in memory: the rules of DESIGN §5 and nothing else. */
class Model {
  private readonly effects = new Map<string, Effect>();
  noted = 0;

  deliver({ step, action, amount, revision, refuse }: Sent): InboxAnswer['via'] {
    const key = `${step}/${action}`;
    const known = this.effects.get(key);
    if (known?.status === 'tombstone') return 'tombstone';
    if (known && !(known.status === 'rejected' && revision > known.revision)) {
      return known.revision === revision && known.amount !== amount ? 'effect-key-reused' : 'record';
    }
    if (action === 'undo' && this.effects.get(`${step}/do`)?.status !== 'applied') {
      this.effects.set(`${step}/do`, { status: 'tombstone', amount, revision });
      this.effects.set(key, { status: 'applied', amount, revision });
      return 'nothing-to-undo';
    }
    this.effects.set(key, { status: refuse ? 'rejected' : 'applied', amount, revision });
    if (!refuse) this.noted += action === 'do' ? amount : -amount;
    return 'work';
  }
}

function participantThat(refuses: () => boolean): Participant {
  const refuse = (): void => {
    if (refuses()) throw new RejectedError('full', 'the page is full');
  };
  return createParticipant({ consumer: 'notes', pool })
    .handle(notes.write, async (tx, { amount }, { effectKey }) => {
      // written before the refusal, so that a rejection which kept its writes would show
      await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, amount]);
      refuse();
      return { noted: amount };
    })
    .handle(notes.erase, async (tx, { amount }, { effectKey }) => {
      await tx.query('insert into notes.note (effect_key, amount) values ($1, $2)', [effectKey, -amount]);
      refuse();
      return { erased: amount };
    })
    .build();
}

describe('the inbox', () => {
  it('answers every sequence of do, undo, repetition, edit and refusal as the rules say', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(sent, { minLength: 1, maxLength: 14 }), async (sequence) => {
        const saga = freshSagaId();
        const model = new Model();
        let refuses = false;
        const participant = participantThat(() => refuses);
        for (const { refuse, amount, ...parts } of sequence) {
          refuses = refuse;
          const type = parts.action === 'do' ? notes.write.type : notes.erase.type;
          const answer = await participant.deliver(messageFor({ sagaId: saga, ...parts, type, payload: { amount } }));
          expect(answer.via).toBe(model.deliver({ refuse, amount, ...parts }));
        }
        expect(await notedAmount(pool, saga)).toBe(model.noted);
      }),
      { numRuns: 120 },
    );
  });

  it('ends the same for every order and overlap of one do, one undo and their duplicates: nothing is left', async () => {
    const deliveries = fc.shuffledSubarray(['do', 'do', 'do', 'undo', 'undo'] as const, { minLength: 5 });
    await fc.assert(
      fc.asyncProperty(deliveries, fc.boolean(), async (order, refuse) => {
        const saga = freshSagaId();
        const participant = participantThat(() => refuse);
        const deliver = (action: StepAction): Promise<InboxAnswer> => {
          const type = action === 'do' ? notes.write.type : notes.erase.type;
          return participant.deliver(messageFor({ sagaId: saga, action, type, payload: { amount: 5 }, revision: 0 }));
        };
        const answers = await Promise.all(order.map(deliver));
        const undos = answers.filter((_, at) => order[at] === 'undo');
        expect(undos.map(({ kind }) => kind)).toEqual(['applied', 'applied']);
        expect(await notedAmount(pool, saga)).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
