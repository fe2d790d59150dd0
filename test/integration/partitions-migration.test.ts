import { fileURLToPath } from 'node:url';
import { runner } from 'node-pg-migrate';
import pg from 'pg';
import { v7 } from 'uuid';
import { migrate } from '../../src/db/migrate.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { inboxSchema, migrateParticipant } from '../../src/participant/index.js';
import { effectKey, messageId } from '../../src/saga/ids.js';
import { withDatabase } from '../support/databases.js';
import { agedSagaId, DAY_MS, partitionsOf } from '../support/old-rows.js';
import { notesSchema } from '../support/participant-kit.js';
import { openPool } from '../support/pools.js';
import { newSaga } from '../support/sagas.js';

const FOLDER = fileURLToPath(new URL('../../src/db/migrations/', import.meta.url));
/** What was there before the ledger was partitioned. */
const EARLIER = 6;
const AGES = [0, 3, 20, 45];

async function withClient<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  return work(client).finally(() => client.end());
}

async function migrateEarlier(client: pg.Client): Promise<void> {
  const journal = { migrationsTable: 'settle_migration', migrationsSchema: 'public' };
  const log = (): void => undefined;
  await runner({ dbClient: client, dir: FOLDER, direction: 'up', count: EARLIER, ...journal, log });
}

/** Sagas of several weeks with all that can belong to one, a half message, and one whose id is none of ours. */
async function fill(client: pg.Client): Promise<readonly string[]> {
  const ids = [...AGES.map(agedSagaId), 'imported-7'];
  for (const id of ids) {
    const { plan, input } = newSaga();
    await client.query(
      `insert into settle.saga (id, tenant_id, idempotency_key, request_hash, type, business_key, plan, input, due_at)
       values ($1, 'default', $1 || '-key', 'hash', 'place-order', $1, $2, $3, clock_timestamp())`,
      [id, JSON.stringify(plan), JSON.stringify(input)],
    );
    await client.query(`update settle.saga set state = 'running' where id = $1`, [id]);
    await client.query(
      `insert into settle.step_effect (effect_key, saga_id, step, action, status) values ($1 || '/order/do', $1, 'order', 'do', 'applied')`,
      [id],
    );
    await client.query(
      `insert into settle.message_log (effect_key, saga_id, tenant_id, step, action, type, payload)
       values ($1 || '/stock/do', $1, 'default', 'stock', 'do', 'inventory.deduct', '{"a": 1}')`,
      [id],
    );
  }
  await client.query(
    `insert into settle.half_message (id, tenant_id, idempotency_key, request_hash, type, payload, check_back_url, plan)
     values ($1, 'default', 'half-key', 'hash', 'accounts.debit', '{}', 'http://h/', '{}')`,
    [messageId(v7({ msecs: Date.now() - 9 * DAY_MS }))],
  );
  return ids;
}

const TABLES = ['saga', 'saga_event', 'step_effect', 'message_log', 'half_message', 'operator_action'];

type Row = Record<string, unknown>;

/** Every row of every table. */
async function dump(client: pg.Client): Promise<Record<string, Row[]>> {
  const entries = TABLES.map(async (table) => {
    const { rows } = await client.query<{ row: Row }>(
      `select to_jsonb(t) as row from settle.${table} t order by txid, to_jsonb(t) ->> 'id', to_jsonb(t) ->> 'effect_key'`,
    );
    return [table, rows.map(({ row }) => row)] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

test('partitioning a ledger in use keeps every row as it is, and each goes to its week', async () => {
  await withDatabase('inventory', async (url) => {
    const before = await withClient(url, async (client) => {
      await migrateEarlier(client);
      await fill(client);
      return dump(client);
    });
    expect(before.saga_event).toHaveLength(2 * (AGES.length + 1));
    await Promise.all(Array.from({ length: 5 }, () => migrate(url)));
    await withClient(url, async (client) => {
      // columns may have been added since
      expect(await dump(client)).toMatchObject(before);
      const { rows } = await client.query(
        'select id from settle.saga_default union all select effect_key from settle.message_log_default',
      );
      expect(rows).toEqual([{ id: 'imported-7' }, { id: 'imported-7/stock/do' }]);
    });
  });
});

test('after it keys still stand for their sagas, numbers go on, and triggers and constraints hold', async () => {
  await withDatabase('inventory', async (url) => {
    const ids = await withClient(url, async (client) => {
      await migrateEarlier(client);
      return fill(client);
    });
    await migrate(url);
    const pool = openPool(url);
    try {
      const again = await acceptSaga(pool, newSaga({ idempotencyKey: `${ids[2]}-key` }));
      expect(again).toMatchObject({ id: ids[2], replayed: true });
      const last = `select max(id) as id from settle.saga_event`;
      const before = (await pool.query<{ id: number }>(last)).rows[0]!.id;
      await pool.query(
        `update settle.saga set state = 'completed', finished_at = clock_timestamp(), due_at = null where id = $1`,
        [ids[1]],
      );
      expect((await pool.query(last)).rows).toEqual([{ id: before + 1 }]);
      const events = await pool.query('select state from settle.saga_event where saga_id = $1 order by id', [ids[1]]);
      expect(events.rows.map(({ state }: { state: string }) => state)).toEqual(['accepted', 'running', 'completed']);
      const reopen = pool.query(`update settle.saga set state = 'running', finished_at = null where id = $1`, [ids[1]]);
      await expect(reopen).rejects.toMatchObject({ code: '23514' });
      const twice = `insert into settle.step_effect (effect_key, saga_id, step, action, status) values ($1, $2, 'order', 'do', 'applied')`;
      await expect(pool.query(twice, [`${ids[0]}/order/do`, ids[0]])).rejects.toMatchObject({ code: '23505' });
    } finally {
      await pool.end();
    }
  });
});

test('partitioning an inbox in use forgets nothing, and its duplicates are still found', async () => {
  await withDatabase('producer', async (url) => {
    const keys = AGES.map((days) => effectKey({ sagaId: agedSagaId(days), step: 'note', action: 'do' }));
    await withClient(url, async (client) => {
      await client.query(
        'create schema notes; create table notes.migration (name text primary key, applied_at timestamptz default now())',
      );
      await client.query(inboxSchema('notes'));
      await client.query(`insert into notes.migration (name) values ('0000_inbox')`);
      for (const key of keys) {
        await client.query(
          `insert into notes.inbox (consumer, effect_key, saga_id, step, action, message_id, revision, request_hash, status)
           values ('notes', $1, split_part($1, '/', 1), 'note', 'do', 'm', 0, 'h', 'applied')`,
          [key],
        );
      }
    });
    await Promise.all(Array.from({ length: 5 }, () => migrateParticipant(url, notesSchema)));
    const pool = openPool(url);
    try {
      const { rows } = await pool.query<{ key: string }>('select effect_key as key from notes.inbox order by 1 desc');
      expect(rows.map(({ key }) => key)).toEqual(keys);
      expect((await pool.query('select 1 from notes.inbox_default')).rowCount).toBe(0);
      // this week and two more of three prefixes, the default one, and the weeks of the old rows
      expect((await partitionsOf(pool, 'notes.inbox')).length).toBeGreaterThanOrEqual(12);
    } finally {
      await pool.end();
    }
  });
});
