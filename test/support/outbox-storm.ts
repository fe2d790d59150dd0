import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import type { BareParticipant } from './outbox-books.js';

/** Many writers, each with one transaction after the other that it holds open for a while. */
export interface Storm {
  readonly databaseUrl: string;
  /** Messages in all, those of transactions that are undone included. */
  readonly rows: number;
  readonly writers: number;
  /** Messages of one transaction. */
  readonly perTransaction: number;
  /** The longest that a transaction is held open after its first message, in ms. */
  readonly holdMs: number;
}

/** One transaction of the storm. */
export interface StormTransaction {
  readonly batch: string;
  readonly messages: number;
  readonly isCommitted: boolean;
  /** Just before its commit, ms since the epoch with fractions. */
  readonly commitAtMs: number;
}

/** Sends the messages, half of each transaction before it is held open and half after; every tenth transaction is undone. */
export async function sendStorm(storm: Storm): Promise<readonly StormTransaction[]> {
  const { rows, writers, perTransaction } = storm;
  const count = Math.ceil(rows / perTransaction);
  const transactions: StormTransaction[] = [];
  let next = 0;
  const write = async (): Promise<void> => {
    const client = new pg.Client({ connectionString: storm.databaseUrl, application_name: 'storm' });
    await client.connect();
    for (let n = next++; n < count; n = next++) transactions.push(await sendOne(client, storm, n));
    await client.end();
  };
  await Promise.all(Array.from({ length: writers }, write));
  return transactions;
}

async function sendOne(client: pg.Client, { holdMs, perTransaction }: Storm, n: number): Promise<StormTransaction> {
  const batch = `b-${n}`;
  const isCommitted = n % 10 !== 9;
  const send = (messages: number): Promise<unknown> =>
    client.query(
      `select settle.send('bare.note', jsonb_build_object('batch', $1::text, 'n', n)) from generate_series(1, $2::int) n`,
      [batch, messages],
    );
  await client.query('begin');
  await send(Math.ceil(perTransaction / 2));
  await pause(Math.random() * holdMs);
  await send(Math.floor(perTransaction / 2));
  const commitAtMs = performance.timeOrigin + performance.now();
  await client.query(isCommitted ? 'commit' : 'rollback');
  return { batch, messages: perTransaction, isCommitted, commitAtMs };
}

/** What is wrong with the participant's books; empty when every message of a committed transaction has arrived, after its commit, and no other. */
export async function findStormFaults(
  participant: BareParticipant,
  transactions: readonly StormTransaction[],
): Promise<readonly string[]> {
  const books = await participant.books();
  return transactions.flatMap(({ batch, messages, isCommitted, commitAtMs }) => {
    const { messages: arrived = 0, firstAtMs = Infinity } = books[batch] ?? {};
    if (!isCommitted) return arrived === 0 ? [] : [`${batch} was undone, and ${arrived} of its messages were sent`];
    return [
      ...(arrived === messages ? [] : [`${batch} has ${messages} messages, and ${arrived} were delivered`]),
      // two clocks of one machine may differ by a little
      ...(firstAtMs > commitAtMs - 1 ? [] : [`${batch} was sent ${commitAtMs - firstAtMs} ms before its commit`]),
    ];
  });
}
