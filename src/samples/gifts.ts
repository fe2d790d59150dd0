import type { Transaction } from '../participant/index.js';

/** The business of the demo's own producer: gifts to customers, in its database beside the verdicts of its half messages. */
export const GIFTS_SCHEMA = `create schema demo; create table demo.gift (account text primary key, message_id text not null)`;

/** Notes a gift; it commits with the verdict of the message that brings it. */
export async function noteGift(tx: Transaction, account: string, messageId: string): Promise<void> {
  await tx.query('insert into demo.gift (account, message_id) values ($1, $2)', [account, messageId]);
}

/** Whether a gift was noted. */
export async function isGiven(db: Transaction, account: string): Promise<boolean> {
  return (await db.query('select from demo.gift where account = $1', [account])).rowCount === 1;
}
