import type pg from 'pg';
import { effectKey } from '../saga/ids.js';
import { MESSAGE_COLUMNS, type LoggedMessage } from './message-log.js';
import type { OwedMessage } from './local-effects.js';
import { IS_AWAITED } from './replies.js';

/** A message of a step that was done. */
export interface ForwardAnswer {
  readonly step: string;
  readonly revision: number;
  readonly result: unknown;
}

/** What a saga that goes forward has come to know, in the order in which its steps were done. */
export interface ForwardAnswers {
  readonly sagaId: string;
  readonly answers: readonly ForwardAnswer[];
}

/** One move of a saga: what the steps behind it have brought, and the messages of those that come next. */
export interface Advance extends ForwardAnswers {
  readonly tenantId: string;
  /** Used only where the ledger has no row yet: the payload of an effect never changes. */
  readonly begins: readonly OwedMessage[];
}

/** No trouble is recorded of the saga: it may take its next step without looking at what else is in the ledger. */
const GOES_WELL = `state in ('accepted', 'running') and reason is null and cancel_reason is null`;

/**
 * `$1` the saga's id, `$2` to `$4` the keys, revisions and results of messages that were answered. The first final answer stays; the
 * saga is locked first, as an operator does. An answer to an earlier revision counts for nothing, and lets nothing go on.
 */
const ANSWERED = `open as (select id from settle.saga where id = $1 and ${GOES_WELL} for no key update),
  answered as (
  update settle.message_log
     set status = 'sent',
         result = case status when 'sent' then result else ($4::jsonb[])[array_position($2::text[], effect_key)] end,
         reason = null, last_error = null, finished_at = case status when 'sent' then finished_at else clock_timestamp() end
   where (select count(*) from open) >= 0 and effect_key = any($2::text[])
     and revision = ($3::int[])[array_position($2::text[], effect_key)] and status in ('pending', 'dead', 'sent')
  returning 1),
  going as (select id from open where (select count(*) from answered) = cardinality($2::text[]))`;

/**
 * Records answers and begins an attempt of each message that comes next, in one statement: the fence of
 * {@link import('./saga-store.js').enterForward | enterForward} and both records, in one commit. A message with a final answer is
 * returned as it is.
 *
 * @returns the messages by step; undefined when the saga may not go on just like that: then only the answers were recorded
 */
export async function advance(
  pool: pg.Pool,
  { sagaId, tenantId, answers, begins }: Advance,
): Promise<ReadonlyMap<string, LoggedMessage> | undefined> {
  const { rows } = await pool.query<LoggedMessage & { readonly step: string | null }>({
    name: 'advance',
    text: `with ${ANSWERED},
           entered as (
             update settle.saga set state = 'running', handed_over_at = null, updated_at = clock_timestamp()
              where id = $1 and id in (select id from going) and (state = 'accepted' or handed_over_at is not null)),
           counted as (
             update settle.message_log
                set attempts = attempts + case when status in ('pending', 'dead') and not ${IS_AWAITED} then 1 else 0 end,
                    first_sent_at = coalesce(first_sent_at, clock_timestamp())
              where effect_key = any($6::text[]) and exists (select from going)
              returning step, ${MESSAGE_COLUMNS}),
           written as (
             insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload, attempts, first_sent_at)
             select key, id, $5, step, 'do', type, payload, 1, clock_timestamp()
               from unnest($6::text[], $7::text[], $8::text[], $9::jsonb[]) as next (key, step, type, payload), going
              where step not in (select step from counted)
             on conflict (effect_key) do nothing
             returning step, ${MESSAGE_COLUMNS})
           select true as "goesOn", moved.* from going left join (select * from counted union all select * from written) as moved on true`,
    values: [
      ...answerValues({ sagaId, answers }),
      tenantId,
      begins.map(({ step }) => effectKey({ sagaId, step, action: 'do' })),
      begins.map(({ step }) => step),
      begins.map(({ type }) => type),
      begins.map(({ payload }) => JSON.stringify(payload)),
    ],
  });
  const begun = rows.flatMap(({ step, ...row }) => (step === null ? [] : [[step, row] as const]));
  return rows.length > 0 && begun.length === begins.length ? new Map(begun) : undefined;
}

/**
 * Records the last answers and completes the saga, in one statement.
 *
 * @returns whether it has completed: false when anything but its steps has been said of it, or when it is a step of another
 */
export async function completeForward(pool: pg.Pool, done: ForwardAnswers): Promise<boolean> {
  const { rowCount } = await pool.query({
    name: 'complete-forward',
    text: `with ${ANSWERED}
           update settle.saga
              set state = 'completed', handed_over_at = null, due_at = null,
                  updated_at = clock_timestamp(), finished_at = clock_timestamp()
            where id = $1 and id in (select id from going) and parent_id is null`,
    values: answerValues(done),
  });
  return rowCount === 1;
}

function answerValues({ sagaId, answers }: ForwardAnswers): unknown[] {
  return [
    sagaId,
    answers.map(({ step }) => effectKey({ sagaId, step, action: 'do' })),
    answers.map(({ revision }) => revision),
    answers.map(({ result }) => JSON.stringify(result ?? null)),
  ];
}
