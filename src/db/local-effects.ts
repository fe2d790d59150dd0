import type pg from 'pg';
import { RejectedError, type Reason } from '../saga/errors.js';
import { effectKey, type EffectId } from '../saga/ids.js';
import { MESSAGE_COLUMNS, type LoggedMessage } from './message-log.js';
import { together, withClient, withTransaction, type Transaction } from './pool.js';
import { assertForward, assertOpen, lockForward } from './saga-store.js';

/** A message that a local transaction owes: it commits with the business row, or not at all. */
export interface OwedMessage {
  readonly step: string;
  readonly type: string;
  readonly payload: unknown;
  /** Whether its first attempt counts as begun with the transaction: then an undo is sent for it, whatever happens. @default false */
  readonly isBegun?: boolean;
}

/** One local step, and what to do in its transaction. */
export interface LocalEffect {
  readonly effect: EffectId;
  readonly tenantId: string;
  /** The business work; its writes and its record commit together. */
  readonly work: (tx: Transaction) => Promise<unknown>;
  /** The messages that its result owes. */
  readonly owes?: (result: unknown) => readonly OwedMessage[];
}

/** What a local step has brought. */
export interface AppliedLocal {
  readonly result: unknown;
  /** The messages that count as begun with this very run of it, by step; a repetition begins none. */
  readonly begun: ReadonlyMap<string, LoggedMessage>;
}

/** What the guard row says about an effect. */
interface Recorded {
  readonly status: 'applied' | 'rejected' | 'tombstone' | 'nothing-to-undo';
  readonly result: unknown;
  readonly reason: Reason | null;
}

/**
 * Applies the `do` of a local step at most once: the guard row, the business row and the messages owed are one transaction.
 * A repetition returns the stored result; a stored rejection is thrown again.
 *
 * @param pool one that pipelines
 * @throws RejectedError when the work refused, now or before
 * @throws FencedError when the saga has decided to compensate
 */
export async function applyLocal(pool: pg.Pool, local: LocalEffect): Promise<AppliedLocal> {
  const { begun = NONE, ...recorded } = await withClient(pool, (client) => apply(client, local)).catch(
    (error: unknown): Promise<Guarded> => {
      if (!(error instanceof RejectedError)) throw error;
      // what the work had written is undone with its transaction; that it refused is recorded in the next
      return withTransaction(pool, (tx) => refuse(tx, local, error));
    },
  );
  if (recorded.status === 'applied') return { result: recorded.result, begun };
  const { code, message } = recorded.reason ?? { code: 'undone', message: 'was undone before it was done' };
  throw new RejectedError(code, message);
}

type Guarded = Recorded & { readonly begun?: AppliedLocal['begun'] };

const NONE: AppliedLocal['begun'] = new Map();

/** The lock on the saga keeps others from doing the same meanwhile; the guard row of an undo that comes first refuses this one. */
async function apply(client: pg.PoolClient, local: LocalEffect): Promise<Guarded> {
  const { effect } = local;
  // looked for under the lock: what another attempt has done by then is seen
  const [, standing, earlier] = await together(client, () =>
    Promise.all([client.query('begin'), lockForward(client, effect.sagaId), find(client, effect)]),
  );
  if (earlier) {
    await client.query('commit');
    return earlier;
  }
  assertForward(effect, standing);
  const result = JSON.parse(JSON.stringify((await local.work(client)) ?? null)) as unknown;
  // whatever can fail on this side fails before the commit is on its way
  const owed = owedOf(local, local.owes?.(result) ?? []);
  const [stored, begun] = await together(client, () =>
    Promise.all([insertApplied(client, effect, result), insertOwed(client, owed), client.query('commit')]),
  );
  return { ...stored, begun };
}

async function refuse(tx: Transaction, { effect }: LocalEffect, { code, message }: RejectedError): Promise<Recorded> {
  // in the order in which others lock them
  const standing = await lockForward(tx, effect.sagaId);
  const earlier = await claim(tx, effect);
  if (earlier) return earlier;
  assertForward(effect, standing);
  return finish(tx, effect, { status: 'rejected', result: null, reason: { code, message, step: effect.step } });
}

/**
 * Takes a local step back at most once. When its `do` never happened, a tombstone is left so that a late one is refused.
 */
export async function undoLocal(pool: pg.Pool, local: LocalEffect): Promise<void> {
  await withTransaction(pool, async (tx) => {
    if (await claim(tx, local.effect)) return;
    await assertOpen(tx, local.effect);
    const forward: EffectId = { ...local.effect, action: 'do' };
    const done = await claim(tx, forward);
    if (!done) await finish(tx, forward, { status: 'tombstone', result: null, reason: null });
    const isApplied = done?.status === 'applied';
    const result = isApplied ? await local.work(tx) : null;
    await finish(tx, local.effect, { status: isApplied ? 'applied' : 'nothing-to-undo', result, reason: null });
  });
}

/** Inserts the guard row; a row that is already there, or that another transaction commits first, is returned instead. */
async function claim(tx: Transaction, effect: EffectId): Promise<Recorded | undefined> {
  const { rowCount } = await tx.query({
    name: 'claim-effect',
    text: `insert into settle.step_effect (effect_key, saga_id, step, action, status) values ($1, $2, $3, $4, 'applied')
           on conflict (effect_key) do nothing`,
    values: guardOf(effect),
  });
  return rowCount === 1 ? undefined : find(tx, effect);
}

async function find(tx: Transaction, effect: EffectId): Promise<Recorded | undefined> {
  const { rows } = await tx.query<Recorded>({
    name: 'find-effect',
    text: 'select status, result, reason from settle.step_effect where effect_key = $1',
    values: [effectKey(effect)],
  });
  return rows[0];
}

function guardOf(effect: EffectId): unknown[] {
  return [effectKey(effect), effect.sagaId, effect.step, effect.action];
}

/**
 * @returns the row as stored, so that the first attempt and a repetition see the very same result
 * @throws when there is a row already: then its transaction is undone, and the next attempt finds that row
 */
async function insertApplied(tx: Transaction, effect: EffectId, result: unknown): Promise<Recorded> {
  const { rows } = await tx.query<Recorded>({
    name: 'insert-effect',
    text: `insert into settle.step_effect (effect_key, saga_id, step, action, status, result) values ($1, $2, $3, $4, 'applied', $5)
           returning status, result, reason`,
    values: [...guardOf(effect), JSON.stringify(result)],
  });
  return rows[0]!;
}

/** Completes the guard row; returns it as stored. */
async function finish(tx: Transaction, effect: EffectId, { status, result, reason }: Recorded): Promise<Recorded> {
  const { rows } = await tx.query<Recorded>({
    name: 'finish-effect',
    text: `update settle.step_effect set status = $2, result = $3, reason = $4 where effect_key = $1
           returning status, result, reason`,
    values: [effectKey(effect), status, JSON.stringify(result), reason ? JSON.stringify(reason) : null],
  });
  return rows[0]!;
}

/** The statement that writes what is owed; undefined where nothing is. */
function owedOf({ effect, tenantId }: LocalEffect, owed: readonly OwedMessage[]): pg.QueryConfig | undefined {
  if (owed.length === 0) return undefined;
  return {
    name: 'insert-owed',
    text: `insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload, attempts, first_sent_at)
           select key, $1, $2, step, 'do', type, payload, begun::int, case when begun then clock_timestamp() end
             from unnest($3::text[], $4::text[], $5::text[], $6::jsonb[], $7::boolean[]) as owed (key, step, type, payload, begun)
           on conflict (effect_key) do nothing
           returning step, ${MESSAGE_COLUMNS}`,
    values: [
      effect.sagaId,
      tenantId,
      owed.map(({ step }) => effectKey({ sagaId: effect.sagaId, step, action: 'do' })),
      owed.map(({ step }) => step),
      owed.map(({ type }) => type),
      owed.map(({ payload }) => JSON.stringify(payload)),
      owed.map(({ isBegun }) => isBegun ?? false),
    ],
  };
}

async function insertOwed(tx: Transaction, owed: pg.QueryConfig | undefined): Promise<AppliedLocal['begun']> {
  if (!owed) return NONE;
  const { rows } = await tx.query<LoggedMessage & { readonly step: string }>(owed);
  return new Map(rows.filter(({ attempts }) => attempts > 0).map((row) => [row.step, row]));
}
