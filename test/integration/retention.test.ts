import pg from 'pg';
import {
  boundsOf,
  createPartitions,
  dropPartition,
  partitionName,
  weekOf,
  type Week,
} from '../../src/db/partitions.js';
import { keepLedger, LEDGER_TABLES } from '../../src/db/retention.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { timeOfId } from '../../src/saga/ids.js';
import { DEFAULT_WINDOWS } from '../../src/saga/windows.js';
import { createDatabase, type TestDatabase } from '../support/databases.js';
import { acceptAged, agedSagaId, DAY_MS, partitionsOf, rowsOf, settle } from '../support/old-rows.js';
import { openPool } from '../support/pools.js';
import { acceptOrder, newSaga } from '../support/sagas.js';

let database: TestDatabase;
let pool: pg.Pool;

beforeEach(async () => {
  database = await createDatabase('producer');
  pool = openPool(database.url, { max: 30 });
});
afterEach(async () => {
  await pool.end();
  await database.drop();
});

const EVERYTHING = { saga: 1, event: 1, effect: 1, message: 1, key: 1 };
const NOTHING = { saga: 0, event: 0, effect: 0, message: 0, key: 0 };
const SAGA = LEDGER_TABLES.find(({ name }) => name === 'settle.saga')!;
const weekOfId = (id: string): Week => ({ prefix: 'sg', startMs: weekOf(timeOfId(id)!) });
const upkeep = (): ReturnType<typeof keepLedger> => keepLedger(pool, DEFAULT_WINDOWS, new AbortController().signal);
const outcomes = (changes: Awaited<ReturnType<typeof upkeep>>): Record<string, string> =>
  Object.fromEntries(changes.map(({ name, outcome }) => [name, outcome]));

/** What is done later, when its lock was held. */
async function keepUntilDone(): Promise<void> {
  while ((await upkeep()).some(({ outcome }) => outcome === 'busy'));
}

describe('partitions', () => {
  test('are there for this week and the next two as soon as the database is migrated', async () => {
    const thisWeek = weekOf(Date.now());
    const ahead = [0, 7, 14].map((days) => partitionName(SAGA, { prefix: 'sg', startMs: thisWeek + days * DAY_MS }));
    expect(await partitionsOf(pool, 'settle.saga')).toEqual(['saga_default', ...ahead]);
  });

  test('are created once when twenty processes do it at the same moment, while sagas are accepted', async () => {
    const thisWeek = boundsOf(weekOfId(agedSagaId(0)));
    for (const { name } of LEDGER_TABLES) {
      const weeks = (await partitionsOf(pool, name)).filter((each) => !each.endsWith('default'));
      for (const week of weeks) await pool.query(`drop table settle.${week}`);
    }
    const [ids] = await Promise.all([
      Promise.all(Array.from({ length: 60 }, () => acceptOrder(pool))),
      Promise.all(Array.from({ length: 20 }, upkeep)),
    ]);
    await keepUntilDone();
    expect(await partitionsOf(pool, 'settle.saga')).toHaveLength(4);
    const { rows } = await pool.query<{ inWeek: number }>(
      `select count(*) as "inWeek" from settle.saga where id >= $1 and id < $2 and tableoid <> 'settle.saga_default'::regclass`,
      [...thisWeek],
    );
    expect(rows[0]!.inWeek).toBe(ids.length);
  });

  test('that are missing lose nothing: rows wait in the default one and move when their week is there', async () => {
    const id = await acceptAged(pool, 10);
    const homeOf = async (): Promise<string | undefined> =>
      (
        await pool.query<{ home: string }>(
          'select relname as home from settle.saga join pg_class c on c.oid = saga.tableoid where id = $1',
          [id],
        )
      ).rows[0]?.home;
    expect(await homeOf()).toBe('saga_default');
    const before = await pool.query('select * from settle.saga where id = $1', [id]);
    await keepUntilDone();
    expect(await homeOf()).toBe(partitionName(SAGA, weekOfId(id)));
    expect((await pool.query('select * from settle.saga where saga.id = $1', [id])).rows).toEqual(before.rows);
    // no trigger has taken the move for news
    expect((await pool.query('select state from settle.saga_event where saga_id = $1', [id])).rows).toHaveLength(1);
  });

  test('hold what a range of ids says, and leave alone what is no id of ours', async () => {
    await acceptSaga(pool, newSaga({ id: 'imported-7', idempotencyKey: 'imported' }));
    await keepUntilDone();
    const { rows } = await pool.query(
      `select relname as home from settle.saga join pg_class c on c.oid = saga.tableoid where saga.id = 'imported-7'`,
    );
    expect(rows).toEqual([{ home: 'saga_default' }]);
  });

  test('half created when their process dies are not there at all, and the next round creates them', async () => {
    const id = await acceptAged(pool, 10);
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid');
    let isKilled = false;
    // dies right after the rows have left the default partition
    const dying = {
      query: async (...args: Parameters<pg.Client['query']>) => {
        const answer = await client.query(...(args as unknown as [string]));
        if ((args[0] as unknown as string).startsWith('with moved')) {
          isKilled = true;
          await pool.query('select pg_terminate_backend($1)', [rows[0]!.pid]);
        }
        return answer;
      },
      on: () => undefined,
      off: () => undefined,
      release: () => undefined,
    };
    const dyingPool = { query: dying.query, connect: () => Promise.resolve(dying) } as unknown as pg.Pool;
    await expect(createPartitions(dyingPool, SAGA)).rejects.toThrow();
    await client.end().catch(() => undefined);
    expect(isKilled).toBe(true);
    expect(await rowsOf(pool, id)).toEqual(EVERYTHING);
    await keepUntilDone();
    expect(await rowsOf(pool, id)).toEqual({ ...EVERYTHING, key: 0 });
  });
});

describe('what is past the retention', () => {
  test('goes with all that belongs to it, once everything of its week has settled', async () => {
    const old = await acceptAged(pool, 50);
    const recent = await acceptAged(pool, 2);
    await settle(pool, [old, recent]);
    await keepUntilDone();
    expect(await rowsOf(pool, old)).toEqual(NOTHING);
    expect(await rowsOf(pool, recent)).toEqual(EVERYTHING);
  });

  test('stays while one saga of its week is open, and is reported', async () => {
    const [open, settled] = [await acceptAged(pool, 50), await acceptAged(pool, 50)];
    await settle(pool, [settled]);
    await keepUntilDone();
    const name = partitionName(SAGA, weekOfId(open));
    expect(outcomes(await upkeep())[name]).toBe('held');
    expect(await rowsOf(pool, open)).toEqual({ ...EVERYTHING, key: 0 });
    await settle(pool, [open]);
    expect(outcomes(await upkeep())[name]).toBe('dropped');
    expect(await rowsOf(pool, open)).toEqual(NOTHING);
  });

  test('stays while an idempotency key stands for it, whatever the settings say', async () => {
    const id = await acceptAged(pool, 50);
    await settle(pool, [id]);
    const windows = { keyMs: 60 * DAY_MS, retentionMs: 30 * DAY_MS };
    const signal = new AbortController().signal;
    await keepLedger(pool, windows, signal);
    await keepLedger(pool, windows, signal);
    expect(await rowsOf(pool, id)).toEqual(EVERYTHING);
  });

  test('never takes what operators have done', async () => {
    const id = await acceptAged(pool, 50);
    await pool.query(
      `insert into settle.operator_action (tenant_id, id, subject_id, step, action, actor, reason, request_id, request_hash,
                                           before, after, operation, delivered_at)
       values ('default', 'a-1', $1, 'stock', 'retry', 'ann', 'because', 'r', 'h', '{}', '{}', '{}', clock_timestamp())`,
      [id],
    );
    await settle(pool, [id]);
    await keepUntilDone();
    expect(await rowsOf(pool, id)).toEqual(NOTHING);
    expect((await pool.query('select id from settle.operator_action where subject_id = $1', [id])).rows).toHaveLength(
      1,
    );
    expect((await pool.query('select * from settle.verify_operator_actions()')).rows).toEqual([]);
  });

  test('waits for nobody: behind a long transaction it is tried later, and who came meanwhile was not held up', async () => {
    const id = await acceptAged(pool, 50);
    await settle(pool, [id]);
    const reader = await pool.connect();
    await reader.query('begin');
    await reader.query('select 1 from settle.saga');
    const beganAt = performance.now();
    const [changes] = await Promise.all([upkeep(), acceptOrder(pool), acceptOrder(pool)]);
    // who is held up waits for the reader, and that one is done only after this
    expect(performance.now() - beganAt).toBeLessThan(20_000);
    expect(Object.values(outcomes(changes))).toContain('busy');
    await reader.query('commit');
    reader.release();
    await keepUntilDone();
    expect(await rowsOf(pool, id)).toEqual(NOTHING);
  });

  test('goes while sagas are accepted, and none of them is lost or refused', async () => {
    const olds = await Promise.all([36, 43, 50, 57, 64].map((days) => acceptAged(pool, days)));
    await settle(pool, olds);
    let isOver = false;
    const accepted: string[] = [];
    const load = Array.from({ length: 8 }, async () => {
      while (!isOver) accepted.push((await acceptOrder(pool)).id);
    });
    await keepUntilDone();
    isOver = true;
    await Promise.all(load);
    for (const id of olds) expect(await rowsOf(pool, id)).toEqual(NOTHING);
    const { rows } = await pool.query<{ count: number }>('select count(*) from settle.saga where id = any($1)', [
      accepted,
    ]);
    expect(accepted.length).toBeGreaterThan(0);
    expect(rows[0]!.count).toBe(accepted.length);
  });

  test('is dropped once when many processes do it at the same moment', async () => {
    const id = await acceptAged(pool, 50);
    await settle(pool, [id]);
    await keepUntilDone();
    const table = SAGA;
    const week = weekOfId(id);
    const changes = await Promise.all(
      Array.from({ length: 5 }, () => dropPartition(pool, { table, week }, () => Promise.resolve(false))),
    );
    expect(changes.filter(({ outcome }) => outcome === 'held')).toEqual([]);
  });
});

test('notices that were told and repairs that are over leave with the retention; what is under way stays', async () => {
  const ages = [31, 29];
  for (const age of ages) {
    const at = new Date(Date.now() - age * DAY_MS);
    for (const due of [null, at]) {
      await pool.query(
        `insert into settle.notice (tenant_id, type, subject_id, cause, data, at, due_at)
         values ('default', 'saga.parked', 'sg_x', 'odd', '{}', $1, $2)`,
        [at, due],
      );
    }
    for (const state of ['previewed', 'running']) {
      await pool.query(
        `insert into settle.repair (id, tenant_id, actor, reason, query, action, arguments, per_second, etag, state, created_at, due_at)
         values ($1, 'default', 'ann', 'because', '{}', 'retry', '{}', 1, '', $2, $3, case when $2 = 'running' then $3::timestamptz end)`,
        [`rp_${age}_${state}`, state, at],
      );
    }
  }
  await keepUntilDone();
  const { rows: notices } = await pool.query(
    'select due_at is not null as open from settle.notice order by at, due_at',
  );
  expect(notices.map(({ open }: { open: boolean }) => open).sort()).toEqual([false, true, true]);
  const { rows: repairs } = await pool.query<{ id: string }>('select id from settle.repair order by id');
  expect(repairs.map(({ id }) => id)).toEqual(['rp_29_previewed', 'rp_29_running', 'rp_31_running']);
});

describe('an idempotency key', () => {
  test('stands for its request for its whole window, and is free after it', async () => {
    const inside = await acceptAged(pool, 6.9, 'inside');
    const outside = await acceptAged(pool, 7.1, 'outside');
    await settle(pool, [inside, outside]);
    await keepUntilDone();
    expect(await acceptSaga(pool, newSaga({ idempotencyKey: 'inside' }))).toMatchObject({ id: inside, replayed: true });
    const anew = await acceptSaga(pool, newSaga({ idempotencyKey: 'outside' }));
    expect(anew).toMatchObject({ replayed: false });
    expect(anew.id).not.toBe(outside);
  });

  test('brings one saga when fifty requests with ids of two weeks race for it', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => agedSagaId(index % 2 === 0 ? 0 : 6.5));
    const answers = await Promise.all(ids.map((id) => acceptSaga(pool, newSaga({ id, idempotencyKey: 'one' }))));
    expect(new Set(answers.map(({ id }) => id)).size).toBe(1);
    expect(answers.filter(({ replayed }) => !replayed)).toHaveLength(1);
    expect((await pool.query('select 1 from settle.saga')).rowCount).toBe(1);
  });

  test('that ends while requests with it arrive brings one new saga, and each request an answer', async () => {
    const id = await acceptAged(pool, 8, 'ending');
    await settle(pool, [id]);
    const [, ...answers] = await Promise.all([
      upkeep(),
      ...Array.from({ length: 20 }, () => acceptSaga(pool, newSaga({ idempotencyKey: 'ending' }))),
    ]);
    const others = new Set(answers.map((answer) => answer.id).filter((each) => each !== id));
    expect(others.size).toBeLessThanOrEqual(1);
  });
});

test('upkeep that is stopped ends without having dropped anything more', async () => {
  const id = await acceptAged(pool, 50);
  await settle(pool, [id]);
  const stopped = new AbortController();
  stopped.abort();
  await keepLedger(pool, DEFAULT_WINDOWS, stopped.signal);
  expect(await rowsOf(pool, id)).toEqual(EVERYTHING);
});
