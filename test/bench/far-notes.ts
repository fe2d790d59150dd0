import { z } from 'zod';
import type { ParticipantSchema } from '../../src/participant/index.js';
import { defineMessage } from '../../src/saga/message-contract.js';

/** What the participant of the benchmark is asked for: to write one row. */
export const note = defineMessage('bench.note', {
  payload: z.strictObject({ batch: z.string(), text: z.string() }),
  result: z.strictObject({ noted: z.int() }),
});

/** The payload of each message of a batch; some 200 bytes, as small messages have. */
export function payloadOf(batch: string): z.infer<typeof note.payload> {
  return { batch, text: 'as long as a small message usually is: '.repeat(4) };
}

/** The participant's database: what came through Settle, and what came through the yardstick. */
export const benchSchema: ParticipantSchema = {
  schema: 'bench',
  migrations: [
    {
      name: '0001_note',
      sql: `create table bench.note (effect_key text not null, batch text not null);
            create table bench.bare (effect_key text not null, batch text not null)`,
    },
  ],
};
