import type pg from 'pg';
import type { Reason } from '../saga/errors.js';
import { isMessageId, parseEffectKey } from '../saga/ids.js';

/** The channel on which workers tell each other of answers; see `listen`. */
export const REPLY_CHANNEL = 'settle_reply';

/** Whether an answer to the current revision is still waited for: then its message need not be sent again yet. */
export const IS_AWAITED = `coalesce(awaited_revision = revision and awaited_until > clock_timestamp(), false)`;

/** What is left of that wait, in ms; 0: nobody waits. */
export const AWAITED_MS = `case when ${IS_AWAITED}
  then (extract(epoch from awaited_until - clock_timestamp()) * 1000)::float8 else 0 end`;

/** The secret of this installation's reply tokens. */
export async function readReplySecret(pool: pg.Pool): Promise<Buffer> {
  const { rows } = await pool.query<{ secret: Buffer }>('select secret from settle.reply_secret');
  if (!rows[0]) throw new Error("'settle.reply_secret' is empty; restore its row, or insert one with default values");
  return rows[0].secret;
}

/** An activity of a workflow, which anybody may complete. */
export interface AwaitingActivity {
  readonly workflowId: string;
  readonly runId: string;
  readonly activityId: string;
}

/** What is waited for, and by whom. */
export interface Await {
  readonly effectKey: string;
  readonly revision: number;
  /** For how long, in ms; 0: no longer. */
  readonly forMs: number;
  /** Unset: a process, which hears of the answer by itself, or nobody any more. */
  readonly by?: AwaitingActivity;
}

/**
 * Notes that an answer is waited for, so that whoever hears of it can tell, and that nobody sends the message again meanwhile.
 *
 * @returns whether it is still waited for: false once there is an answer, or another revision
 */
export async function awaitReply(pool: pg.Pool, { effectKey, revision, forMs, by }: Await): Promise<boolean> {
  const { name, key, isOpen } = tableOf(effectKey);
  const { rowCount } = await pool.query({
    name: `await-reply-${name}`,
    text: `update settle.${name}
              set awaited_revision = $2, awaited_until = clock_timestamp() + $3 * interval '1 ms',
                  awaiting_workflow = $4, awaiting_activity = $5, awaiting_run = $6
            where ${key} and revision = $2 and ${isOpen}`,
    values: [keyValue(effectKey), revision, forMs, by?.workflowId ?? null, by?.activityId ?? null, by?.runId ?? null],
  });
  return rowCount === 1;
}

/** A message as whoever reads an answer to it needs it. */
export interface AskedMessage {
  readonly type: string;
  readonly revision: number;
  readonly attempts: number;
  /** Since its first attempt began, in ms. */
  readonly ageMs: number;
  /** `open`: an answer is of use; `dead`: only that it was applied; `done`, `rejected`: has it; `closed`: nobody wants it. */
  readonly state: 'open' | 'dead' | 'done' | 'rejected' | 'closed';
  readonly result: unknown;
  readonly reason: Reason | null;
}

/** Finds the message that an answer is to; undefined when there is none, or when it was never sent. */
export async function findAsked(pool: pg.Pool, effectKey: string): Promise<AskedMessage | undefined> {
  if (parseEffectKey(effectKey) === undefined) return undefined;
  const { name, key, state, reason, begunAt } = tableOf(effectKey);
  const { rows } = await pool.query<AskedMessage>({
    name: `find-asked-${name}`,
    text: `select type, revision, attempts, result, ${reason} as reason, ${state} as state,
                  coalesce(extract(epoch from clock_timestamp() - ${begunAt}) * 1000, 0)::float8 as "ageMs"
             from settle.${name} where ${key} and attempts > 0`,
    values: [keyValue(effectKey)],
  });
  return rows[0];
}

/**
 * Whether a message that was sent is still to be delivered: false once it is dead, withdrawn, refused or replaced by another
 * revision, or once its saga has decided to take back instead.
 */
export async function isStillWanted(
  pool: pg.Pool,
  { effectKey, revision }: Pick<Await, 'effectKey' | 'revision'>,
): Promise<boolean> {
  const { name, key, isWanted } = tableOf(effectKey);
  const { rowCount } = await pool.query({
    name: `is-still-wanted-${name}`,
    text: `select from settle.${name} m where ${key} and revision = $2 and attempts > 0 and ${isWanted}`,
    values: [keyValue(effectKey), revision],
  });
  return rowCount === 1;
}

/**
 * Says who waits for an answer that was recorded: an activity, which the caller completes. Where none does, the processes are told.
 *
 * @param notice what they are told: less than 8000 bytes
 */
export async function tellOfReply(
  pool: pg.Pool,
  effectKey: string,
  notice: string,
): Promise<AwaitingActivity | undefined> {
  const { name, key } = tableOf(effectKey);
  const { rows } = await pool.query<{ workflowId: string | null; runId: string | null; activityId: string | null }>({
    name: `tell-of-reply-${name}`,
    text: `with awaiting as (
             select case when ${IS_AWAITED} then awaiting_workflow end as workflow, awaiting_activity as activity, awaiting_run as run
               from settle.${name} where ${key})
           select workflow as "workflowId", run as "runId", activity as "activityId",
                  case when workflow is null then pg_notify('${REPLY_CHANNEL}', $2) end
             from awaiting`,
    values: [keyValue(effectKey), notice],
  });
  const { workflowId, runId, activityId } = rows[0] ?? {};
  return workflowId && runId && activityId ? { workflowId, runId, activityId } : undefined;
}

interface Table {
  readonly name: 'message_log' | 'half_message';
  readonly key: string;
  readonly isOpen: string;
  readonly state: string;
  readonly reason: string;
  readonly begunAt: string;
  readonly isWanted: string;
}

const MESSAGE_LOG: Table = {
  name: 'message_log',
  key: 'effect_key = $1',
  isOpen: `status in ('pending', 'dead')`,
  state: `case status when 'pending' then 'open' when 'sent' then 'done' when 'withdrawn' then 'closed' else status end`,
  reason: 'reason',
  begunAt: 'first_sent_at',
  isWanted: `status in ('pending', 'sent') and (action = 'undo' or not exists (
    select from settle.saga s where s.id = m.saga_id and s.reason is not null))`,
};

/** A half message keeps no refusal: its workflow parks it. */
const HALF_MESSAGE: Table = {
  name: 'half_message',
  key: 'id = $1',
  isOpen: `state = 'confirmed'`,
  state: `case state when 'confirmed' then 'open' when 'delivered' then 'done' else 'closed' end`,
  reason: 'park_reason',
  begunAt: 'decided_at',
  isWanted: `state in ('confirmed', 'delivered')`,
};

function tableOf(effectKey: string): Table {
  return isMessageId(ownerOf(effectKey)) ? HALF_MESSAGE : MESSAGE_LOG;
}

function keyValue(effectKey: string): string {
  return isMessageId(ownerOf(effectKey)) ? ownerOf(effectKey) : effectKey;
}

function ownerOf(effectKey: string): string {
  return effectKey.slice(0, effectKey.indexOf('/'));
}
