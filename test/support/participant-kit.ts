import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { v7 } from 'uuid';
import { z } from 'zod';
import { messageOf, migrateParticipant, type Message, type ParticipantSchema } from '../../src/participant/index.js';
import { effectKey, sagaId, type StepAction } from '../../src/saga/ids.js';
import { defineMessage } from '../../src/saga/message-contract.js';
import { openPool } from './pools.js';

/** A participant as small as can be: it notes in a table that it was run, which is all that these tests ask. */
export const notesSchema: ParticipantSchema = {
  schema: 'notes',
  migrations: [
    {
      name: '0001_note',
      sql: `create table notes.note (
              effect_key text not null,
              amount     int not null,
              txid       xid8 not null default pg_current_xact_id()
            )`,
    },
  ],
};

const Note = z.strictObject({ amount: z.int() });
const erase = defineMessage('notes.erase', { payload: Note, result: z.strictObject({ erased: z.int() }) });
const write = defineMessage('notes.write', { payload: Note, result: z.strictObject({ noted: z.int() }), undo: erase });

/** The contracts of the smallest participant. */
export const notes = { write, erase } as const;

/** A saga id that nobody used before. */
export function freshSagaId(): string {
  return sagaId(v7());
}

/** What a test wants to be different about a message. */
export interface MessageParts {
  readonly sagaId: string;
  readonly step?: string;
  readonly action?: StepAction;
  readonly type: string;
  readonly payload: unknown;
  readonly revision?: number;
}

/** A message as a transport would hand it on, each with an id of its own. */
export function messageFor({ step = 'note', action = 'do', revision = 0, ...parts }: MessageParts): Message {
  return messageOf({
    messageId: randomUUID(),
    source: '/settle/test',
    time: new Date().toISOString(),
    tenantId: 'default',
    revision,
    ...parts,
    effectKey: effectKey({ sagaId: parts.sagaId, step, action }),
  })!;
}

/** Migrates a database for the smallest participant; its pool has a connection for each of 50 deliveries at once. */
export async function openNotes(url: string): Promise<pg.Pool> {
  await migrateParticipant(url, notesSchema);
  return openPool(url, { name: 'settle-test', max: 55 });
}

/** Runs `work` `count` times, 10 at the same moment: fewer than a pool has connections, so that none waits in vain. */
export async function repeat(count: number, work: (round: number) => Promise<void>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: 10 }, worker));
}

/** How an effect stands in the inbox. */
export async function inboxStatus(pool: pg.Pool, { effectKey: key }: Message): Promise<string | undefined> {
  const { rows } = await pool.query<{ status: string }>('select status from notes.inbox where effect_key = $1', [key]);
  return rows[0]?.status;
}

/** The sum of what was noted for a saga: 0 when everything was taken back, or nothing ever done. */
export async function notedAmount(pool: pg.Pool, saga: string): Promise<number> {
  const { rows } = await pool.query<{ sum: number }>(
    'select coalesce(sum(amount), 0) as sum from notes.note where effect_key like $1',
    [`${saga}/%`],
  );
  return rows[0]!.sum;
}
