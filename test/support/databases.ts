import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { eventually } from './eventually.js';

/** Whose database: the producer's (ledger and shop), or one participant's. */
export type DatabaseName = 'producer' | 'inventory' | 'accounts' | 'profiles';

/** A migrated database of a test's own. */
export interface TestDatabase {
  readonly url: string;
  /**
   * Removes it.
   *
   * @throws Error when somebody is still connected, as a pool that nobody ended is; it is removed all the same
   */
  drop(): Promise<void>;
}

/** Copies a migrated template, which takes about 50 ms. Whoever calls this drops it: prefer {@link useDatabase}. */
export async function createDatabase(name: DatabaseName): Promise<TestDatabase> {
  const copy = `${name}_${randomBytes(6).toString('hex')}`;
  // one copy of a template at a time: the lock spares the losers an error
  await asAdmin(async (client) => {
    await client.query('select pg_advisory_lock(hashtext($1))', [name]);
    await client.query(`create database ${copy} template ${name}_template strategy file_copy`);
  });
  const url = new URL(adminUrl());
  url.pathname = `/${copy}`;
  return { url: url.href, drop: () => drop(copy) };
}

/** Runs `work` with a database that is gone afterwards, whatever happens. */
export async function withDatabase<T>(name: DatabaseName, work: (url: string) => Promise<T>): Promise<T> {
  const database = await createDatabase(name);
  const outcome = await work(database.url).then(
    (value) => ({ value }),
    (error: unknown) => ({ error }),
  );
  // what `work` threw says more than the connections that it may have left in its fall
  if ('error' in outcome) {
    await database.drop().catch(() => undefined);
    throw outcome.error;
  }
  await database.drop();
  return outcome.value;
}

/**
 * Gives a test file a database from its first test to its last hook.
 * The file fails when it leaves a connection open, as a pool that nobody ended does.
 *
 * @returns an object whose `url` may be read inside hooks and tests
 * @example const database = useDatabase('producer');
 */
export function useDatabase(name: DatabaseName): { readonly url: string } {
  let database: TestDatabase | undefined;
  beforeAll(async () => {
    database = await createDatabase(name);
  });
  // not afterAll: that would run before the hooks that end the pools
  onFinish(() => database?.drop());
  return {
    get url() {
      if (!database) throw new Error('the database exists inside hooks and tests only');
      return database.url;
    },
  };
}

/** A pool of connections for a test's own look at the tables; ended after the last test. */
export function usePool(database: { readonly url: string }): Pick<pg.Pool, 'query' | 'connect'> {
  let pool: pg.Pool | undefined;
  beforeAll(() => {
    pool = new pg.Pool({ connectionString: database.url, max: 4, application_name: 'test' });
    pool.on('error', () => undefined);
  });
  afterAll(() => pool?.end());
  const get = (): pg.Pool => {
    if (!pool) throw new Error('the pool exists inside hooks and tests only');
    return pool;
  };
  return {
    get query() {
      const current = get();
      return current.query.bind(current) as pg.Pool['query'];
    },
    get connect() {
      const current = get();
      return current.connect.bind(current) as pg.Pool['connect'];
    },
  };
}

function adminUrl(): string {
  const url = process.env.SETTLE_TEST_POSTGRES_URL;
  if (url === undefined) throw new Error('no PostgreSQL here: this folder of tests runs without servers');
  return url;
}

async function asAdmin<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: adminUrl(), application_name: 'test-admin' });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

async function drop(name: string): Promise<void> {
  await asAdmin(async (client) => {
    try {
      await eventually(() => assertUnused(client, name), { timeoutMs: 15_000 });
    } finally {
      await client.query(`drop database ${name} with (force)`);
    }
  });
}

async function assertUnused(client: pg.Client, name: string): Promise<void> {
  const { rows } = await client.query<{ who: string }>(
    `select application_name || ' (' || coalesce(state, '?') || ')' as who
     from pg_stat_activity where datname = $1 and backend_type = 'client backend'`,
    [name],
  );
  if (rows.length > 0) {
    const who = rows.map((row) => row.who).join(', ');
    throw new Error(`${rows.length} connections to '${name}' were left open: ${who}; end the pool in the test`);
  }
}
