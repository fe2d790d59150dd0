import type { Writable } from 'node:stream';
import pg from 'pg';

/** An open transaction: whoever holds it may query, but only its owner commits. */
export type Transaction = Pick<pg.PoolClient, 'query'>;

export interface PoolOptions {
  /** Connections at the most. @default 20 */
  readonly max?: number;
  /** Shown in `pg_stat_activity`. @default 'settle' */
  readonly name?: string;
  /**
   * Whether a statement is planned once for all values. Right where rows are asked for by key: left to itself PostgreSQL plans each
   * run anew, as a plan for all partitions looks dear to it (1.1 ms of CPU a saga). Wrong for lists with a limit. @default false
   */
  readonly plansOnce?: boolean;
  /** Whether statements that are not waited for go out together, each behind the one before it. @default false */
  readonly pipelines?: boolean;
  /** Until connecting, or waiting for a connection that is free, is given up, in ms. @default 2000 */
  readonly connectMs?: number;
  /** Until a query is given up, in ms: no query of ours takes this long when all is well; past it an answer is worth more. @default 5000 */
  readonly queryMs?: number;
  /** Told of connections that break while idle, e.g. when the server restarts; the pool replaces them by itself. */
  readonly onIdleError?: (error: Error) => void;
}

const INT8_OID = 20;

/**
 * A connection pool that never hangs: connecting is given up after 2 s, a query after 5 s,
 * and the server ends transactions that a stopped process left open after 15 s, so that their locks do not outlive it.
 *
 * @param url a `postgres://` URL
 */
export function createPool(url: string, options: PoolOptions = {}): pg.Pool {
  const { connectMs = 2_000, queryMs = 5_000 } = options;
  const settings: pg.PoolConfig & { readonly pipeline: boolean } = {
    connectionString: url,
    pipeline: options.pipelines ?? false,
    max: options.max ?? 20,
    application_name: options.name ?? 'settle',
    connectionTimeoutMillis: connectMs,
    idleTimeoutMillis: 30_000,
    query_timeout: queryMs,
    statement_timeout: queryMs,
    idle_in_transaction_session_timeout: 15_000,
    keepAlive: true,
    options: options.plansOnce ? '-c plan_cache_mode=force_generic_plan' : undefined,
    types: {
      getTypeParser: (oid: number, format?: 'text' | 'binary') => parserOf(oid, format),
    } as pg.CustomTypesConfig,
  };
  const pool = new pg.Pool(settings);
  // without a listener a connection that breaks while idle ends the process
  pool.on('error', options.onIdleError ?? (() => undefined));
  return pool;
}

/**
 * Runs `work` in one transaction: commits when it returns, undoes everything when it throws.
 *
 * @throws whatever `work` throws, or the commit's own failure: then the outcome is unknown and the caller must look
 * @example await withTransaction(pool, (tx) => tx.query('insert into …'));
 */
export function withTransaction<T>(pool: pg.Pool, work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  return withClient(pool, async (client) => {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    return result;
  });
}

/** Lends a connection to `work`, which begins and commits by itself; when it throws, what it left open is undone. */
export async function withClient<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  // a checked-out client that loses its connection emits 'error' outside of any query too
  const onError = (): void => undefined;
  client.on('error', onError);
  let broken: Error | undefined;
  try {
    return await work(client);
  } catch (error) {
    broken = await client.query('rollback').then(
      () => undefined,
      (cause: Error) => cause,
    );
    throw error;
  } finally {
    client.off('error', onError);
    client.release(broken);
  }
}

/** Sends the statements that `send` queues in one write: of what a pipelined statement costs its client, a third is that call. */
export function together<T>(client: pg.PoolClient, send: () => T): T {
  const { stream } = (client as unknown as { readonly connection: { readonly stream: Writable } }).connection;
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}

/** PostgreSQL's `bigint` as a number: all of ours stay below 2^53, and one that does not must not be rounded in silence. */
function parserOf(oid: number, format?: 'text' | 'binary'): (value: string) => unknown {
  return oid === INT8_OID ? parseInt8 : (pg.types.getTypeParser(oid, format as 'text') as (value: string) => unknown);
}

function parseInt8(value: string): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw new RangeError(`the database holds ${value}, which is beyond 2^53`);
  return number;
}
