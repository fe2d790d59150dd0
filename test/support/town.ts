import { randomUUID } from 'node:crypto';
import pg from 'pg';
import { findFreePorts } from '../../src/dev/ports.js';
import type { Lane } from '../../src/saga/lane.js';
import { useDatabase, type DatabaseName } from './databases.js';
import { openOffice, type Office } from './office.js';
import { runMain, startMain, type MainProcess } from './processes.js';

/** API, worker and participants as processes of their own, over migrated and seeded databases of a test file's own. */
export interface Town {
  readonly office: Office;
  /** Kills a role with SIGKILL; the others go on. */
  kill(role: Role): Promise<void>;
  /** Starts a role that was killed. */
  start(role: Role): Promise<void>;
  /** Asks one of the databases. */
  query<Row extends pg.QueryResultRow>(database: DatabaseName, sql: string, values?: unknown[]): Promise<Row[]>;
  /** Locks rows of one of the databases; what needs them waits until the returned function is called. */
  hold(database: DatabaseName, select: string): Promise<() => Promise<void>>;
}

type Role = 'api' | 'worker' | 'participants';

const ROLES: readonly Role[] = ['participants', 'worker', 'api'];

/**
 * Gives a test file the whole from its first test to its last hook, and fails it when a role does not end in order.
 *
 * @param lane that its sagas take, where they can
 * @returns an object that may be used inside hooks and tests
 */
export function useTown(name: string, lane: Lane = 'workflow'): Town {
  const databases = {
    producer: useDatabase('producer'),
    inventory: useDatabase('inventory'),
    accounts: useDatabase('accounts'),
    profiles: useDatabase('profiles'),
  };
  const running = new Map<Role, MainProcess>();
  let env: Record<string, string> = {};
  let office: Office | undefined;
  const start = async (role: Role): Promise<void> => {
    running.set(role, await startMain({ args: [role], env, timeoutMs: 90_000 }));
  };
  beforeAll(async () => {
    const port = await findFreePorts(7);
    env = {
      PORT: `${port}`,
      DATABASE_URL: databases.producer.url,
      SETTLE_INVENTORY_DATABASE_URL: databases.inventory.url,
      SETTLE_ACCOUNTS_DATABASE_URL: databases.accounts.url,
      SETTLE_PROFILES_DATABASE_URL: databases.profiles.url,
      TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
      SETTLE_TASK_QUEUE: `${name}-${randomUUID()}`,
      SETTLE_LANE: lane,
      LOG_LEVEL: 'info',
    };
    const { code, output } = await runMain({ args: ['migrate', '--seed'], env, timeoutMs: 90_000 });
    expect({ code, output }).toEqual({ code: 0, output });
    await Promise.all(ROLES.map(start));
    office = openOffice(`http://127.0.0.1:${port}`);
  });
  afterAll(async () => {
    for (const role of ROLES.toReversed()) {
      expect(await running.get(role)?.kill('SIGTERM')).toEqual({ code: 0, signal: null });
    }
  });
  return {
    get office() {
      return office!;
    },
    start,
    kill: async (role) => {
      await running.get(role)!.kill('SIGKILL');
    },
    hold: async (database, select) => {
      const client = new pg.Client(databases[database].url);
      await client.connect();
      await client.query('begin');
      await client.query(select);
      return () => client.end();
    },
    query: async <Row extends pg.QueryResultRow>(database: DatabaseName, sql: string, values: unknown[] = []) => {
      const client = new pg.Client(databases[database].url);
      await client.connect();
      try {
        return (await client.query<Row>(sql, values)).rows;
      } finally {
        await client.end();
      }
    },
  };
}
