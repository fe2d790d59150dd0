import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { pino } from 'pino';
import pg from 'pg';
import { startRelay, type Relay } from '../../activities/relay.js';
import { listen } from '../../src/db/listen.js';
import { migrate } from '../../src/db/migrate.js';
import { OUTBOX_CHANNEL } from '../../src/db/outbox.js';
import { createPool } from '../../src/db/pool.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { startPostgres } from '../../src/dev/postgres.js';
import { createRouter } from '../../src/transports/router.js';
import { startBareParticipant, type BareParticipant } from '../support/outbox-books.js';
import { findStormFaults, sendStorm } from '../support/outbox-storm.js';
import { runBareLoop } from './bare-loop.js';
import { percentile, type BenchOptions, type Measure } from './measure.js';

interface Bench {
  readonly url: string;
  readonly pool: pg.Pool;
  /** The relay's own, as in the worker. */
  readonly planned: pg.Pool;
  readonly participant: BareParticipant;
  readonly options: BenchOptions;
}

/**
 * The relay of the outbox on a real PostgreSQL that syncs, with a participant in a process of its own.
 *
 * | option | meaning |
 * |---|---|
 * | `--messages` | drained in each run. 20000 |
 * | `--rounds` | runs of each kind, in turns; the median counts. 3 |
 * | `--settled` | rows in the table when it is large. 1000000 |
 * | `--rows`, `--writers` | instead of all that: so many messages by writers that hold their transactions open for 0–5 s |
 */
export async function benchOutbox(options: BenchOptions): Promise<readonly Measure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-bench-'));
  chmodSync(dataDir, 0o755);
  const server = await startPostgres({ dataDir, port: await findFreePorts(1), databases: ['settle'] });
  const participant = await startBareParticipant();
  const url = server.url('settle');
  const pool = createPool(url, { name: 'bench' });
  const planned = createPool(url, { name: 'bench-relay', plansOnce: true });
  try {
    await migrate(url);
    const bench = { url, pool, planned, participant, options };
    if (options.has('rows')) return await benchStorm(bench);
    return [...(await compare(bench)), ...(await measureIdle(bench)), ...(await measureGrowth(bench))];
  } finally {
    await Promise.all([pool.end(), planned.end()]);
    await participant.stop();
    await server.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Drains the same number of messages by the bare loop and by the relay, in turns. */
async function compare(bench: Bench): Promise<readonly Measure[]> {
  const { pool, participant, options } = bench;
  const bare: number[] = [];
  const relay: number[] = [];
  for (let round = 0; round < options.number('rounds', 3); round++) {
    bare.push(await drain(bench, () => runBareLoop(pool, participant.url)));
    relay.push(await drain(bench, () => withRelay(bench, () => untilSettled(pool))));
    options.progress(`round ${round + 1}: bare loop ${bare.at(-1)!.toFixed(0)}/s, relay ${relay.at(-1)!.toFixed(0)}/s`);
  }
  // of each round by itself: what else the machine does changes less within one
  const ratio = percentile(
    bare.map((rate, round) => relay[round]! / rate),
    0.5,
  );
  return [
    { name: 'bare loop', value: percentile(bare, 0.5), unit: 'messages/s' },
    { name: 'relay', value: percentile(relay, 0.5), unit: 'messages/s', target: { atLeast: 1_000 } },
    { name: 'relay to bare loop', value: ratio, unit: '', target: { atLeast: 0.8 } },
  ];
}

/** How many messages a second `work` delivers, and that it has delivered each of them. */
async function drain({ url, pool, participant, options }: Bench, work: () => Promise<void>): Promise<number> {
  const messages = options.number('messages', 20_000);
  await participant.reset();
  await maintain(url, 'vacuum analyze settle.message_log');
  const client = await pool.connect();
  for (let left = messages; left > 0; left -= 5_000) {
    await client.query(
      `select settle.send('bare.note', '{"batch": "drain", "note": "as long as a small message usually is"}')
         from generate_series(1, $1::int)`,
      [Math.min(left, 5_000)],
    );
  }
  client.release();
  await maintain(url, 'checkpoint');
  const begunAt = performance.now();
  await work();
  const seconds = (performance.now() - begunAt) / 1_000;
  const books = (await participant.books())['drain'];
  if (books?.messages !== messages) throw new Error(`of ${messages} messages ${books?.messages ?? 0} were delivered`);
  return messages / seconds;
}

/** From the commit to the participant, one message at a time. */
async function measureIdle(bench: Bench): Promise<readonly Measure[]> {
  const { pool, participant } = bench;
  const waits: number[] = [];
  await withRelay(bench, async () => {
    for (let n = 0; n < 200; n++) {
      await pool.query(`select settle.send('bare.note', jsonb_build_object('batch', $1::text))`, [`idle-${n}`]);
      const committedAt = performance.timeOrigin + performance.now();
      await untilSettled(pool);
      waits.push((await participant.books())[`idle-${n}`]!.firstAtMs - committedAt);
      await pause(20 + Math.random() * 30);
    }
  });
  return [
    {
      name: 'commit to first attempt when idle, p50',
      value: percentile(waits, 0.5),
      unit: 'ms',
      target: { atMost: 50 },
    },
    { name: 'commit to first attempt when idle, p99', value: percentile(waits, 0.99), unit: 'ms' },
  ];
}

/** The same drain beside few and beside many settled rows. */
async function measureGrowth(bench: Bench): Promise<readonly Measure[]> {
  const { pool, options } = bench;
  const rateAt = async (settled: number): Promise<number> => {
    await fill(pool, settled);
    const rates: number[] = [];
    for (let round = 0; round < options.number('rounds', 3); round++) {
      rates.push(await drain(bench, () => withRelay(bench, () => untilSettled(pool))));
    }
    options.progress(`beside ${settled} settled rows: ${rates.map((rate) => rate.toFixed(0)).join(', ')}/s`);
    return percentile(rates, 0.5);
  };
  await pool.query('truncate settle.message_log');
  const many = options.number('settled', 1_000_000);
  const [small, large] = [await rateAt(1_000), await rateAt(many)];
  return [
    { name: 'relay beside 1,000 settled rows', value: small, unit: 'messages/s' },
    { name: `relay beside ${many.toLocaleString('en')} settled rows`, value: large, unit: 'messages/s' },
    { name: 'large to small', value: large / small, unit: '', target: { atLeast: 0.9 } },
  ];
}

/** What takes its time on a large table, and so must not be given up as a query of ours is. */
async function maintain(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(statement);
  } finally {
    await client.end();
  }
}

async function fill(pool: pg.Pool, settled: number): Promise<void> {
  const { rows } = await pool.query<{ count: number }>('select count(*) from settle.message_log');
  for (let left = settled - rows[0]!.count; left > 0; left -= 20_000) {
    await pool.query(
      `insert into settle.message_log (effect_key, tenant_id, action, type, payload, status, attempts, finished_at)
       select 'om_' || settle.uuid_v7() || '/message/do', 'default', 'do', 'bare.note', '{"batch": "old"}', 'sent', 1, now()
         from generate_series(1, $1::int)`,
      [Math.min(left, 20_000)],
    );
  }
}

/** Writers that hold their transactions open while the relay runs; then the books. */
async function benchStorm(bench: Bench): Promise<readonly Measure[]> {
  const { url, pool, participant, options } = bench;
  const rows = options.number('rows', 1_000_000);
  const begunAt = performance.now();
  const transactions = await withRelay(bench, async () => {
    const sent = await sendStorm({
      ...{ databaseUrl: url, rows, writers: options.number('writers', 64), holdMs: 5_000 },
      perTransaction: options.number('per-transaction', Math.max(2, Math.ceil(rows / 2_000))),
    });
    options.progress(`sent after ${((performance.now() - begunAt) / 1_000).toFixed(0)} s`);
    await untilSettled(pool);
    return sent;
  });
  const seconds = (performance.now() - begunAt) / 1_000;
  const faults = await findStormFaults(participant, transactions);
  if (faults.length > 0) throw new Error(`the books are off: ${faults.slice(0, 10).join('; ')}`);
  const delivered = transactions
    .filter(({ isCommitted }) => isCommitted)
    .reduce((sum, { messages }) => sum + messages, 0);
  const books = Object.values(await participant.books());
  return [
    { name: 'messages of committed transactions, each delivered after its commit', value: delivered, unit: '' },
    {
      name: 'messages delivered more than once',
      value: books.reduce((sum, { repeats }) => sum + repeats, 0),
      unit: '',
    },
    { name: 'delivered while being written', value: delivered / seconds, unit: 'messages/s' },
  ];
}

async function withRelay<T>({ url, planned, participant }: Bench, work: () => Promise<T>): Promise<T> {
  const routes = { 'bare.note': { transport: 'http', url: participant.url } } as const;
  const router = createRouter(routes);
  const relay: Relay = startRelay({
    ...{ pool: planned, router, routes, logger: pino({ level: 'warn' }) },
    listen: (onWake) => listen({ url, channel: OUTBOX_CHANNEL, onWake }),
  });
  try {
    return await work();
  } finally {
    await relay.stop();
    await router.close();
  }
}

/**
 * Prepared, and by the indexes of what is open: asked in passing, it read the whole table 200 times a second, 40 ms each time
 * beside 80,000 settled rows, and slowed down the relay that it was to measure.
 */
async function untilSettled(pool: pg.Pool): Promise<void> {
  const open = 'select from settle.message_log where due_at is not null and';
  const query = { name: 'any-open', text: `${open} not in_workflow union all ${open} in_workflow limit 1` };
  for (;;) {
    const { rowCount } = await pool.query(query);
    if (rowCount === 0) return;
    await pause(10);
  }
}
