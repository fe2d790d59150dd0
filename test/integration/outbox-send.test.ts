import pg from 'pg';
import { v4, v7 } from 'uuid';
import { useDatabase, usePool } from '../support/databases.js';

const ledger = useDatabase('producer');
const pool = usePool(ledger);

interface Arguments {
  readonly type?: string | null;
  readonly payload?: string | null;
  readonly named?: string;
}

async function send({ type = 'notes.write', payload = '{"amount": 5}', named = '' }: Arguments = {}): Promise<string> {
  const { rows } = await pool.query<{ id: string }>(`select settle.send($1, $2 ${named && `, ${named}`}) as id`, [
    type,
    payload,
  ]);
  return rows[0]!.id;
}

const nested = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
const madeAt = (msAgo: number): string => v7({ msecs: Date.now() - msAgo });

test('promise 3: the message is written by the transaction of the business row', async () => {
  await pool.query('create table public.invoice (id text, txid xid8 default pg_current_xact_id())');
  const client = await pool.connect();
  await client.query('begin');
  await client.query(`insert into public.invoice (id) values ('i-1')`);
  const { rows } = await client.query<{ id: string }>(
    `select settle.send('invoice.opened', '{"id": "i-1"}', tenant => 'acme') as id`,
  );
  expect((await pool.query('select from settle.message_log')).rowCount).toBe(0);
  await client.query('commit');
  client.release();
  const written = await pool.query(
    `select m.effect_key, m.tenant_id, m.type, m.payload, m.status, m.saga_id, m.txid = i.txid as "isSame"
       from settle.message_log m, public.invoice i`,
  );
  expect(written.rows).toEqual([
    {
      ...{ effect_key: `${rows[0]!.id}/message/do`, tenant_id: 'acme', type: 'invoice.opened', payload: { id: 'i-1' } },
      ...{ status: 'pending', saga_id: null, isSame: true },
    },
  ]);
});

test('ids are UUIDs of version 7: in order of time, and never the same', async () => {
  const before = Date.now();
  const { rows } = await pool.query<{ id: string }>('select settle.uuid_v7() as id from generate_series(1, 10000)');
  const ids = rows.map(({ id }) => id);
  expect(new Set(ids).size).toBe(10_000);
  expect(ids.filter((id) => !/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(id))).toEqual(
    [],
  );
  const times = ids.map((id) => parseInt(id.replaceAll('-', '').slice(0, 12), 16));
  expect(times).toEqual(times.toSorted((a, b) => a - b));
  expect([times[0]! >= before - 1, times.at(-1)! <= Date.now()]).toEqual([true, true]);
});

test.each([
  ['no type', { type: null }, 'type must be 1 to 200'],
  ['an empty type', { type: '' }, 'type must be 1 to 200'],
  ['a type with a space', { type: 'a b' }, "not 'a b'"],
  ['a long type', { type: 'a'.repeat(201) }, 'type must be 1 to 200'],
  ['no payload', { payload: null }, 'payload must not be null'],
  [
    'a payload that is too long',
    { payload: JSON.stringify('x'.repeat(65_535)) },
    'at most 65536 bytes as text, not 65537',
  ],
  ['a payload that is too deep', { payload: nested(34) }, 'deeper than 32 levels'],
  ['a number beyond 2^53', { payload: '{"ids":[1,9007199254740993]}' }, 'no number beyond 2^53'],
  ['a number below -2^53', { payload: '-9007199254740993' }, 'no number beyond 2^53'],
  ['a number that no double holds', { payload: '{"a":{"b":1e400}}' }, 'no number beyond 2^53'],
  ['a payload that is no JSON', { payload: '{' }, 'invalid input syntax for type json'],
  ['a payload with NUL', { payload: '"\\u0000"' }, 'unsupported Unicode escape sequence'],
  ['half a surrogate pair', { payload: '"\\ud800"' }, 'invalid input syntax for type json'],
  ['a tenant with a slash', { named: `tenant => 'a/b'` }, 'tenant must be'],
  ['no tenant', { named: 'tenant => null' }, 'tenant must be'],
  ['an empty order key', { named: `order_key => ''` }, 'order_key must be'],
  ['an order key with a tab', { named: `order_key => E'a\\tb'` }, 'order_key must be'],
  ['a negative delay', { named: `delay => '-1 second'` }, 'delay must be from 0 to 7 days'],
  ['an endless delay', { named: `delay => '8 days'` }, 'delay must be from 0 to 7 days'],
  ['an id of another version', { named: `message_id => '${v4()}'` }, 'message_id must be a UUIDv7'],
  ['an id of the day before yesterday', { named: `message_id => '${madeAt(100_000_000)}'` }, 'made in the last day'],
  ['an id of tomorrow', { named: `message_id => '${madeAt(-80_000_000)}'` }, 'made in the last day'],
])('%s is refused by name, and the transaction with it', async (_, wrong, message) => {
  await expect(send(wrong)).rejects.toThrow(message);
});

test.each([
  ['the longest payload', { payload: JSON.stringify('x'.repeat(65_534)) }],
  ['the deepest payload', { payload: nested(32) }],
  ["JSON's null", { payload: 'null' }],
  [
    'the largest exact number, and its digits as text',
    { payload: '[9007199254740991, "9007199254740993", 0.1, true]' },
  ],
  ['every argument', { named: `tenant => 'acme', order_key => '订单-1', delay => '1 hour', message_id => '${v7()}'` }],
])('%s is accepted', async (_, good) => {
  expect(await send(good)).toMatch(/^om_/);
});

test('a message that is sent again under its id is sent once, and another one under it is refused', async () => {
  const named = `message_id => '${v7()}', order_key => 'k'`;
  const ids = await Promise.all(Array.from({ length: 4 }, () => send({ named })));
  expect(new Set(ids).size).toBe(1);
  const { rows } = await pool.query('select count(*)::int from settle.message_log where effect_key like $1', [
    `${ids[0]}%`,
  ]);
  expect(rows).toEqual([{ count: 1 }]);
  await expect(send({ named, payload: '{"amount": 6}' })).rejects.toMatchObject({ code: '23505' });
  await expect(send({ named: named.replace("'k'", "'l'") })).rejects.toThrow('was sent before with another');
});

test('a transaction that cannot see the message of the same id is told to run again', async () => {
  const named = `message_id => '${v7()}'`;
  const client = await pool.connect();
  await client.query('begin isolation level repeatable read');
  await client.query('select 1 from settle.message_log');
  await send({ named });
  await expect(client.query(`select settle.send('notes.write', '{"amount": 5}', ${named})`)).rejects.toMatchObject({
    code: '40001',
  });
  await client.query('rollback');
  client.release();
});

test('a role that may only execute settle.send can send, and do nothing else', async () => {
  const role = `producer_${v7().replaceAll('-', '')}`;
  await pool.query(`create role ${role} login password 'secret'`);
  try {
    await pool.query(`grant usage on schema settle to ${role}`);
    const url = new URL(ledger.url);
    Object.assign(url, { username: role, password: 'secret' });
    const client = new pg.Client(url.href);
    await client.connect();
    const sending = `select settle.send('notes.write', '1') as id`;
    await expect(client.query(sending)).rejects.toThrow('permission denied for function send');
    await pool.query(`grant execute on function settle.send to ${role}`);
    expect((await client.query<{ id: string }>(sending)).rows[0]?.id).toMatch(/^om_/);
    // what it makes in its own schema or session must not run as the owner
    await client.query('create temp table message_log (like information_schema.tables)');
    await client.query(`set search_path = pg_temp, public`);
    expect((await client.query<{ id: string }>(sending)).rows[0]?.id).toMatch(/^om_/);
    for (const sql of [
      'select from settle.message_log',
      'delete from settle.message_log',
      'select settle.check_sending(null, null, null, null, null, null)',
    ]) {
      await expect(client.query(sql)).rejects.toThrow('permission denied');
    }
    await client.end();
  } finally {
    await pool.query(`drop owned by ${role}`);
    await pool.query(`drop role ${role}`);
  }
});

test('a thousand messages of one transaction cost one notification', async () => {
  const client = await pool.connect();
  const heard: string[] = [];
  client.on('notification', ({ channel }) => heard.push(channel));
  await client.query('listen settle_outbox');
  const other = await pool.connect();
  await other.query('begin');
  await other.query(`select settle.send('notes.write', to_jsonb(n)) from generate_series(1, 1000) n`);
  await client.query('select 1');
  expect(heard).toEqual([]);
  await other.query('commit');
  other.release();
  await client.query('select 1');
  expect(heard).toEqual(['settle_outbox']);
  await client.query('unlisten *');
  client.release();
});
