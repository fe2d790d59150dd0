import { setTimeout as pause } from 'node:timers/promises';
import type pg from 'pg';

/** What a producer knows of a transaction of its own: `unknown` when the server was gone at its commit. */
export interface SentTransaction {
  readonly outcome: 'committed' | 'rolled-back' | 'unknown';
  /** The ids that `settle.send` answered. */
  readonly ids: readonly string[];
}

/** A producer that sends while servers die. */
export interface OutboxClient {
  /** Its own record (C), in memory: it is the one process that nobody kills. */
  readonly sent: readonly SentTransaction[];
  /** Resolves when the last transaction has ended. */
  stop(): Promise<void>;
}

/** Messages of one transaction. */
export const MESSAGES = 5;

/** How long a transaction is held open, so that a server that dies cuts some of them off. */
const HOLD_MS = 20;

/** Sends credits until it is stopped; every fifth transaction is rolled back, and one that is cut off is followed by the next. */
export function startOutboxClient(pool: pg.Pool, { lanes }: { readonly lanes: number }): OutboxClient {
  const sent: SentTransaction[] = [];
  let isStopped = false;
  const drive = async (lane: number): Promise<void> => {
    for (let n = 0; !isStopped; n += 1) {
      const transaction = await sendOne(pool, { account: `c-${lane}`, isWanted: n % 5 !== 4 });
      sent.push(transaction);
      // the server that has just been killed is not there at once
      if (transaction.ids.length < MESSAGES) await pause(50);
    }
  };
  const done = Promise.all(Array.from({ length: lanes }, (_, lane) => drive(lane)));
  return {
    sent,
    stop: async () => {
      isStopped = true;
      await done;
    },
  };
}

async function sendOne(
  pool: pg.Pool,
  { account, isWanted }: { account: string; isWanted: boolean },
): Promise<SentTransaction> {
  const ids: string[] = [];
  // until its commit is sent a transaction cannot be committed
  let failure: SentTransaction['outcome'] = 'rolled-back';
  const client = await pool.connect().catch(() => undefined);
  if (!client) return { outcome: failure, ids };
  let isBroken = false;
  const onError = (): void => void (isBroken = true);
  client.on('error', onError);
  try {
    await client.query('begin');
    for (let n = 0; n < MESSAGES; n += 1) {
      const payload = { userId: `u-${n}`, account, currency: 'EUR', amount: 1 };
      const { rows } = await client.query<{ id: string }>(`select settle.send('accounts.credit', $1) as id`, [payload]);
      ids.push(rows[0]!.id);
    }
    await pause(HOLD_MS);
    if (isWanted) failure = 'unknown';
    await client.query(isWanted ? 'commit' : 'rollback');
    return { outcome: isWanted ? 'committed' : 'rolled-back', ids };
  } catch {
    isBroken = true;
    return { outcome: failure, ids };
  } finally {
    client.off('error', onError);
    client.release(isBroken);
  }
}

/**
 * Holds what the participant has done (E: its journal and its inbox) against what the producer knows (C).
 *
 * @returns what is wrong; empty when each message of a committed transaction took effect once, and no other did
 */
export async function findOutboxFaults(
  sent: readonly SentTransaction[],
  { settle, accounts }: { readonly settle: pg.Pool; readonly accounts: pg.Pool },
): Promise<readonly string[]> {
  const stored = await countById(
    settle,
    `select 'om_' || message_id as id from settle.message_log where status = 'sent'`,
  );
  // a credit is two entries: the customer's, and the fund's below 0
  const effects = await countById(accounts, 'select saga_id as id from journal.effect where amount > 0');
  const inbox = await countById(accounts, 'select saga_id as id from accounts.inbox');
  const known = new Set(sent.flatMap(({ ids }) => ids));
  return [
    ...sent.flatMap(({ outcome, ids }) => {
      const isCommitted = outcome === 'committed' || (outcome === 'unknown' && stored.has(ids[0]!));
      const wanted = isCommitted ? 1 : 0;
      return ids.flatMap((id) => {
        const found = [stored, effects, inbox].map((counts) => counts.get(id) ?? 0);
        const isRight = found.every((count) => count === wanted);
        return isRight ? [] : [`${outcome} '${id}': ${found.join(', ')} in ledger, journal and inbox, not ${wanted}`];
      });
    }),
    ...[...stored.keys(), ...effects.keys(), ...inbox.keys()].flatMap((id) =>
      known.has(id) ? [] : [`'${id}' was never sent`],
    ),
  ];
}

async function countById(pool: pg.Pool, ids: string): Promise<ReadonlyMap<string, number>> {
  const { rows } = await pool.query<{ id: string; count: number }>(
    `select id, count(*)::int as count from (${ids}) as found group by id`,
  );
  return new Map(rows.map(({ id, count }) => [id, count]));
}
