import type { Transaction } from '../db/pool.js';
import { RejectedError, type Reason } from '../saga/errors.js';
import { days, DEFAULT_WINDOWS, isBeyondWindow } from '../saga/windows.js';
import { schemaName } from './inbox-schema.js';
import { requestHash } from './json.js';
import type { Message } from './message.js';

/** What the inbox says about a message once its transaction commits; nothing before that. */
export type InboxAnswer =
  /** `work`: it ran now; `record`: it had run before; `nothing-to-undo`: its `do` was never applied and now never will be. */
  | { readonly kind: 'applied'; readonly via: 'work' | 'record' | 'nothing-to-undo'; readonly result: unknown }
  | { readonly kind: 'rejected'; readonly via: 'work' | 'record'; readonly reason: Reason }
  /** Not run and not recorded: a `do` after its `undo`, an effect key that stands for another request, or one too old to tell. */
  | { readonly kind: 'refused'; readonly via: Refusal; readonly reason: Reason };

type Refusal = 'tombstone' | 'effect-key-reused' | 'beyond-window';

/** The record of what one consumer has applied. Users may wrap it; its promises hold for whoever calls `apply`. */
export interface Inbox {
  readonly consumer: string;
  /**
   * Runs `work` at most once per effect key and keeps its result in the same transaction as its writes.
   * Duplicates are found before any business rule is asked; a duplicate that comes while the first is under way waits for its commit.
   *
   * - `work` throws {@link RejectedError}: its writes are undone, the rejection is kept.
   * - `work` throws anything else: so does `apply`, and the caller must not commit.
   * - an `undo` runs only when its `do` was applied; otherwise it leaves a tombstone that refuses every later `do`.
   * - a message that is older than the window and not recorded is refused, unless an operator has confirmed that it may repeat.
   *
   * @param tx an open transaction, READ COMMITTED, on which nothing has failed; its owner commits
   * @throws whatever `work` or the database throws
   */
  apply(tx: Transaction, message: Message, work: () => Promise<unknown>): Promise<InboxAnswer>;
}

/** Which inbox: `schema` is where its table lives, `consumer` tells apart those who share one. */
export interface InboxOptions {
  readonly consumer: string;
  readonly schema: string;
  /** How long it remembers, in ms. @default 30 days */
  readonly windowMs?: number;
}

/** The stored row of one effect. */
interface Stored {
  readonly status: 'applied' | 'rejected' | 'tombstone';
  readonly revision: number;
  readonly hash: string;
  readonly result: unknown;
  readonly reason: Reason | null;
}

/** What `apply` needs on its way: nothing of it outlives the call. */
interface Delivery {
  readonly table: string;
  readonly consumer: string;
  readonly tx: Transaction;
  readonly message: Message;
  readonly hash: string;
}

/**
 * The inbox of one consumer.
 *
 * @throws TypeError when `schema` is not a plain name
 * @example
 * const inbox = createInbox({ consumer: 'inventory', schema: 'inventory' });
 * await withTransaction(pool, (tx) => inbox.apply(tx, message, () => takeStock(tx, message.payload)));
 */
export function createInbox({ consumer, schema, windowMs = DEFAULT_WINDOWS.inboxMs }: InboxOptions): Inbox {
  const table = `${schemaName(schema)}.inbox`;
  return {
    consumer,
    async apply(tx, message, work) {
      const delivery: Delivery = { table, consumer, tx, message, hash: requestHash(message.type, message.payload) };
      if (isBeyondWindow(message.effectKey, Date.now(), windowMs) && !message.mayRepeat && !(await isKnown(delivery))) {
        return refused(
          'beyond-window',
          `'${message.effectKey}' is older than the ${days(windowMs)} that are remembered`,
        );
      }
      const recorded = (await claim(delivery)) ? undefined : await replay(delivery);
      if (recorded) return recorded;
      if (message.effect.action === 'undo' && !(await isDoApplied(delivery))) {
        return { kind: 'applied', via: 'nothing-to-undo', result: await keepResult(delivery, null) };
      }
      return runWork(delivery, work);
    },
  };
}

/** Whether the effect, or what it would take back, is on record: then its week is still there, and nothing is forgotten. */
async function isKnown({ table, consumer, tx, message }: Delivery): Promise<boolean> {
  const { rows } = await tx.query(`select from ${table} where consumer = $1 and effect_key in ($2, $3)`, [
    consumer,
    message.effectKey,
    message.doKey,
  ]);
  return rows.length > 0;
}

/** Inserts the row of this effect. False when it is there already; then whoever wrote it has committed. */
async function claim({ table, consumer, tx, message, hash }: Delivery): Promise<boolean> {
  const { rowCount } = await tx.query({
    name: `${table}-claim`,
    text: `insert into ${table} (consumer, effect_key, saga_id, step, action, message_id, revision, request_hash, status)
           values ($1, $2, $3, $4, $5, $6, $7, $8, 'applied') on conflict (consumer, effect_key) do nothing`,
    values: [consumer, message.effectKey, ...effectColumns(message), message.messageId, message.revision, hash],
  });
  return rowCount === 1;
}

/** The answer that stands, or undefined when this message has taken over a rejection and must run. */
async function replay(delivery: Delivery): Promise<InboxAnswer | undefined> {
  const stored = await read(delivery);
  if (stored.status === 'rejected' && delivery.message.revision > stored.revision) {
    if (await takeOver(delivery)) return undefined;
    // another delivery was quicker and has committed: what it wrote stands now
    return answerOf(await read(delivery), delivery);
  }
  return answerOf(stored, delivery);
}

async function read({ table, consumer, tx, message }: Delivery): Promise<Stored> {
  const { rows } = await tx.query<Stored>({
    name: `${table}-read`,
    text: `select status, revision, request_hash as hash, result, reason from ${table} where consumer = $1 and effect_key = $2`,
    values: [consumer, message.effectKey],
  });
  if (!rows[0]) throw new Error(`the inbox row of '${message.effectKey}' vanished while it was read; deliver again`);
  return rows[0];
}

function answerOf(stored: Stored, { message, hash }: Delivery): InboxAnswer {
  const { effectKey, revision } = message;
  if (stored.status === 'tombstone') {
    return refused('tombstone', `'${effectKey}' was undone before it was done; it will not be done any more`);
  }
  // only the same revision must be the same request: an older one was superseded, a newer one comes too late
  if (stored.revision === revision && stored.hash !== hash) {
    return refused('effect-key-reused', `'${effectKey}' stands for another request; nothing was changed`);
  }
  if (stored.status === 'applied') return { kind: 'applied', via: 'record', result: stored.result };
  return { kind: 'rejected', via: 'record', reason: stored.reason! };
}

function refused(via: Refusal, message: string): InboxAnswer {
  return { kind: 'refused', via, reason: { code: via, message } };
}

/** A higher revision takes a rejected row; of several at once, one. */
async function takeOver({ table, consumer, tx, message, hash }: Delivery): Promise<boolean> {
  const { rowCount } = await tx.query(
    `update ${table}
        set status = 'applied', reason = null, message_id = $3, revision = $4, request_hash = $5,
            applied_at = clock_timestamp(), txid = pg_current_xact_id()
      where consumer = $1 and effect_key = $2 and status = 'rejected' and revision < $4`,
    [consumer, message.effectKey, message.messageId, message.revision, hash],
  );
  return rowCount === 1;
}

/**
 * Whether there is something to undo; if not, the `do` is made impossible for ever.
 * A `do` under way holds its row, so this waits for its end: whichever commits first, the other sees it.
 */
async function isDoApplied({ table, consumer, tx, message, hash }: Delivery): Promise<boolean> {
  const buried = await tx.query({
    name: `${table}-bury`,
    text: `insert into ${table} as earlier
             (consumer, effect_key, saga_id, step, action, message_id, revision, request_hash, status)
           values ($1, $2, $3, $4, 'do', $5, $6, $7, 'tombstone')
           on conflict (consumer, effect_key) do update
             set status = 'tombstone', applied_at = clock_timestamp(), txid = pg_current_xact_id()
           where earlier.status = 'rejected'`,
    values: [
      consumer,
      message.doKey,
      message.effect.sagaId,
      message.effect.step,
      message.messageId,
      message.revision,
      hash,
    ],
  });
  if (buried.rowCount === 1) return false;
  const { rows } = await tx.query<{ status: Stored['status'] }>({
    name: `${table}-do`,
    text: `select status from ${table} where consumer = $1 and effect_key = $2`,
    values: [consumer, message.doKey],
  });
  return rows[0]?.status === 'applied';
}

async function runWork(delivery: Delivery, work: () => Promise<unknown>): Promise<InboxAnswer> {
  const { tx } = delivery;
  await tx.query('savepoint work');
  try {
    return { kind: 'applied', via: 'work', result: await keepResult(delivery, await work()) };
  } catch (error) {
    if (!(error instanceof RejectedError)) throw error;
    await tx.query('rollback to savepoint work');
    const reason: Reason = { code: error.code, message: error.message };
    await keepRejection(delivery, reason);
    return { kind: 'rejected', via: 'work', reason };
  }
}

/** @returns the result as the database holds it, so that the first answer and every later one are alike */
async function keepResult({ table, consumer, tx, message }: Delivery, result: unknown): Promise<unknown> {
  const { rows } = await tx.query<{ result: unknown }>({
    name: `${table}-result`,
    text: `update ${table} set result = $3 where consumer = $1 and effect_key = $2 returning result`,
    values: [consumer, message.effectKey, JSON.stringify(result ?? null)],
  });
  return rows[0]?.result;
}

async function keepRejection({ table, consumer, tx, message }: Delivery, reason: Reason): Promise<void> {
  await tx.query({
    name: `${table}-reject`,
    text: `update ${table} set status = 'rejected', reason = $3 where consumer = $1 and effect_key = $2`,
    values: [consumer, message.effectKey, JSON.stringify(reason)],
  });
}

function effectColumns({ effect }: Message): [string, string, string] {
  return [effect.sagaId, effect.step, effect.action];
}
