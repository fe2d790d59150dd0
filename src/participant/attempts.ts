import type pg from 'pg';
import { schemaName } from './inbox-schema.js';
import type { Message } from './message.js';

/** What is known of the attempts that did not end well. */
export interface AttemptRecord {
  readonly attempts: number;
  /** What the last of them that ended failed of. */
  readonly lastError?: string;
}

/** Counts attempts per consumer, effect key and revision, where the count outlives the process. */
export interface AttemptCounter {
  /**
   * Records that an attempt was begun of which nobody knows the end.
   *
   * @returns false when there is a record already; then it stays as it is
   */
  open(message: Message): Promise<boolean>;
  /** Counts one more attempt. @param error what it failed of; absent: nobody knows that it ended */
  add(message: Message, error?: string): Promise<AttemptRecord>;
  /** Removes the record: the message has been answered. */
  forget(message: Message): Promise<void>;
  /** Resolves when it can count, and so the participant work. */
  probe(): Promise<unknown>;
}

const MAX_ERROR_CHARACTERS = 1_000;

/**
 * A counter in a participant's own database; each call is a transaction of its own, as the work's is undone.
 *
 * @throws TypeError when `schema` is not a plain name
 */
export function createAttemptCounter(
  pool: pg.Pool,
  { consumer, schema = consumer }: { readonly consumer: string; readonly schema?: string },
): AttemptCounter {
  const table = `${schemaName(schema)}.delivery_attempt`;
  const keyOf = ({ effectKey, revision }: Message): [string, string, number] => [consumer, effectKey, revision];
  return {
    open: async (message) => {
      const { rowCount } = await pool.query(
        `insert into ${table} (consumer, effect_key, revision, attempts) values ($1, $2, $3, 1) on conflict do nothing`,
        keyOf(message),
      );
      return rowCount === 1;
    },
    add: async (message, error) => {
      const { rows } = await pool.query<{ attempts: number; lastError: string | null }>(
        `insert into ${table} as earlier (consumer, effect_key, revision, attempts, last_error) values ($1, $2, $3, 1, $4)
         on conflict (consumer, effect_key, revision) do update
           set attempts = earlier.attempts + 1, last_error = coalesce(excluded.last_error, earlier.last_error),
               at = clock_timestamp()
         returning attempts, last_error as "lastError"`,
        [...keyOf(message), error === undefined ? null : storable(error)],
      );
      const { attempts, lastError } = rows[0]!;
      return { attempts, lastError: lastError ?? undefined };
    },
    forget: async (message) => {
      await pool.query(
        `delete from ${table} where consumer = $1 and effect_key = $2 and revision <= $3`,
        keyOf(message),
      );
    },
    // a write, as a server that only reads cannot work; it finds nothing to change
    probe: () => pool.query(`delete from ${table} where consumer = $1 and effect_key = ''`, [consumer]),
  };
}

/**
 * A counter in memory, for participants without a database: a process that ends forgets it, so a message that ends the process is
 * begun again as often as it comes.
 */
export function createMemoryAttempts(): AttemptCounter {
  const records = new Map<string, AttemptRecord>();
  const keyOf = ({ effectKey, revision }: Message): string => `${effectKey} ${revision}`;
  return {
    open: (message) => {
      const isNew = !records.has(keyOf(message));
      if (isNew) records.set(keyOf(message), { attempts: 1 });
      return Promise.resolve(isNew);
    },
    add: (message, error) => {
      const earlier = records.get(keyOf(message));
      const record = { attempts: (earlier?.attempts ?? 0) + 1, lastError: error ?? earlier?.lastError };
      // the youngest last
      records.delete(keyOf(message));
      records.set(keyOf(message), record);
      for (const oldest of records.keys()) if (records.size > MAX_IN_MEMORY) records.delete(oldest);
      return Promise.resolve(record);
    },
    forget: (message) => Promise.resolve(void records.delete(keyOf(message))),
    probe: () => Promise.resolve(),
  };
}

/** Those of messages that are dead stay until others take their place. */
const MAX_IN_MEMORY = 10_000;

function storable(error: string): string {
  return error.replaceAll('\0', ' ').toWellFormed().slice(0, MAX_ERROR_CHARACTERS);
}
