import { join } from 'node:path';
import { findFreePorts } from '../../../src/dev/ports.js';
import { buildPrograms } from './build-programs.js';
import { createDatabase, rootsOf, startProgram, withClient, type End, type Running } from './contestant.js';
import type { Servers } from './servers.js';
import { countEvents } from './settle.js';

/** Starts the plain program, which forgets what it was about when it ends. */
export async function startPlain(servers: Servers): Promise<Running> {
  const databaseUrl = await prepareDatabase(servers, 'plain');
  const program = await startYardstick({
    servers,
    name: 'plain',
    file: 'plain.js',
    env: { DATABASE_URL: databaseUrl },
  });
  const { url, kill, restart, stop } = program;
  const ends = new Map<string, End>();
  const look = async (): Promise<void> => {
    const settled = (await (await fetch(`${url}/settled`)).json()) as [string, string, number][];
    for (const [orderId, state, atMs] of settled) ends.set(orderId, { state, atMs });
  };
  return {
    ...{ name: 'plain', url, kill, restart, stop },
    roots: () => rootsOf(servers, program.pid()),
    walUrls: [databaseUrl],
    countOpen: async () => {
      await look();
      return withClient(databaseUrl, async (client) => {
        const { rows } = await client.query<{ orders: string }>('select count(*) as orders from yardstick.orders');
        return Number(rows[0]!.orders) - ends.size;
      });
    },
    endsSince: async (ms) => {
      await look();
      return new Map([...ends].filter(([, { atMs }]) => atMs >= ms));
    },
    eventsOf: () => Promise.resolve(0),
  };
}

/** Starts the obvious version on Temporal. */
export async function startObvious(servers: Servers): Promise<Running> {
  const temporal = await servers.temporal();
  const databaseUrl = await prepareDatabase(servers, 'temporal');
  const env = {
    ...{ DATABASE_URL: databaseUrl, TEMPORAL_ADDRESS: temporal.address },
    SETTLE_TASK_QUEUE: `bench-obvious-${Date.now()}`,
  };
  const program = await startYardstick({ servers, name: 'temporal', file: 'obvious.js', env });
  const { url, kill, restart, stop } = program;
  return {
    ...{ name: 'temporal', url, kill, restart, stop },
    roots: () => rootsOf(servers, program.pid(), temporal),
    walUrls: [databaseUrl, ...(temporal.store ? [temporal.store.url] : [])],
    countOpen: () =>
      withClient(databaseUrl, async (client) => {
        const { rows } = await client.query<{ open: string }>(
          'select count(*) as open from yardstick.orders where finished_at is null',
        );
        return Number(rows[0]!.open);
      }),
    endsSince: (ms) =>
      withClient(databaseUrl, async (client) => {
        const { rows } = await client.query<End & { orderId: string }>(
          `select order_id as "orderId", status as state, (extract(epoch from finished_at) * 1000)::float8 as "atMs"
             from yardstick.orders where finished_at >= to_timestamp($1::float8 / 1000)`,
          [ms],
        );
        return new Map(rows.map(({ orderId, state, atMs }) => [orderId, { state, atMs }]));
      }),
    eventsOf: (sagaId) => countEvents(temporal, sagaId),
  };
}

interface Yardstick {
  readonly servers: Servers;
  readonly name: string;
  readonly file: string;
  readonly env: Readonly<Record<string, string>>;
}

async function startYardstick({ servers, name, file, env }: Yardstick): ReturnType<typeof startProgram> {
  const port = await findFreePorts();
  const place = { NODE_ENV: 'production', PORT: String(port), BENCH_ROUTES: JSON.stringify(servers.routes) };
  return startProgram({ servers, name, args: [join(buildPrograms(), file)], env: { ...place, ...env }, port });
}

/** The tables of the shop, without what ties them to Settle. */
async function prepareDatabase(servers: Servers, name: string): Promise<string> {
  const url = await createDatabase(servers, name);
  await withClient(url, (client) =>
    client.query(`
      drop schema if exists yardstick cascade;
      create schema yardstick;
      create table yardstick.customer (id text primary key, currency text not null);
      insert into yardstick.customer select 'c-' || n, 'EUR' from generate_series(1, 1000) as n;
      create table yardstick.orders (
        order_id    text primary key,
        saga_id     text not null unique,
        customer_id text not null references yardstick.customer (id),
        currency    text not null,
        total       bigint not null check (total > 0),
        items       jsonb not null,
        status      text not null,
        placed_at   timestamptz not null default clock_timestamp(),
        finished_at timestamptz
      );
      create index orders_open on yardstick.orders (placed_at) where finished_at is null`),
  );
  return url;
}
