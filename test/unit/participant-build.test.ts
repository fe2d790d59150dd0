import { createParticipant, createInbox, outcomeOf, type ParticipantBuilder } from '../../src/participant/index.js';
import { createPool } from '../../src/db/pool.js';
import { freshSagaId, messageFor, notes } from '../support/participant-kit.js';

/** Never connected to: what these tests ask is answered before the database is. */
const pool = createPool('postgres://nobody@127.0.0.1:1/none');

const notesParticipant = (): ParticipantBuilder => createParticipant({ consumer: 'notes', pool });
const erase = (): Promise<{ erased: number }> => Promise.resolve({ erased: 1 });
const write = (): Promise<{ noted: number }> => Promise.resolve({ noted: 1 });

describe('a participant', () => {
  it('is not built when nobody handles the undo of a message it handles', () => {
    expect(() => notesParticipant().handle(notes.write, write).build()).toThrow(
      "'notes' handles 'notes.write' but not its undo 'notes.erase'",
    );
  });

  it('is built when the undo comes with it, in either order', () => {
    const { types } = notesParticipant().handle(notes.erase, erase).handle(notes.write, write).build();
    expect(types).toEqual(['notes.erase', 'notes.write']);
  });

  it('has one handler per message type', () => {
    const participant = notesParticipant().handle(notes.erase, erase);
    expect(() => participant.handle(notes.erase, erase)).toThrow("'notes.erase' is handled twice");
  });

  it('refuses a do under the key of an undo, and the reverse, before it asks the database', async () => {
    const participant = notesParticipant().handle(notes.erase, erase).handle(notes.write, write).build();
    const parts = { sagaId: freshSagaId(), payload: { amount: 1 } };
    await expect(participant.deliver(messageFor({ ...parts, type: 'notes.write', action: 'undo' }))).rejects.toThrow(
      "keys that end in '/do'",
    );
    await expect(participant.deliver(messageFor({ ...parts, type: 'notes.erase' }))).rejects.toThrow(
      "keys that end in '/undo'",
    );
  });

  it('has no schema that would have to be quoted', () => {
    expect(() => createInbox({ consumer: 'notes', schema: 'a"; drop' })).toThrow(TypeError);
  });

  it('counts a stored answer as repeated, whatever it says', () => {
    const reason = { code: 'a', message: 'b' };
    expect(outcomeOf({ kind: 'applied', via: 'record', result: 1 })).toBe('repeated');
    expect(outcomeOf({ kind: 'rejected', via: 'record', reason })).toBe('repeated');
    expect(outcomeOf({ kind: 'rejected', via: 'work', reason })).toBe('rejected');
    expect(outcomeOf({ kind: 'refused', via: 'tombstone', reason })).toBe('tombstone');
  });
});
