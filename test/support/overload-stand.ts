import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { setTimeout as pause } from 'node:timers/promises';
import pg from 'pg';
import { findFreePorts } from '../../src/dev/ports.js';
import { withTransaction } from '../../src/db/pool.js';
import type { Lane } from '../../src/saga/lane.js';
import { eventually } from './eventually.js';
import { createRunDatabases, startFaultServers, type FaultServers } from './faults/fault-servers.js';
import { memoryMb, startMain } from './processes.js';
import type { OfferedLoad } from './open-loop.js';

const GENERATOR = fileURLToPath(new URL('open-loop.ts', import.meta.url));
const TYPESCRIPT = new URL('typescript.js', import.meta.url).href;

/** A whole installation in one process, and what a test of overload looks at. */
export interface OverloadStand {
  /** Offers orders from a process of its own: for a while at a rate, or until so many are accepted, by 64 clients that wait for their answers. */
  offer(how: { readonly seconds: number; readonly rate: number } | { readonly count: number }): Promise<OfferedLoad>;
  /** Waits until nothing is open. */
  untilSettled(): Promise<void>;
  /** Sagas that have completed, and sagas that are open. */
  count(): Promise<{ readonly settled: number; readonly open: number }>;
  /** Lets every write of a saga wait for so long, in ms, as when the ledger's disk stands still. */
  holdLedger(ms: number): Promise<void>;
  /** Of the process, in MB. */
  memoryMb(): number;
  stop(): Promise<void>;
}

/** Starts one on servers of its own. */
export async function openOverloadStand(lane: Lane): Promise<OverloadStand> {
  const servers = await startFaultServers();
  try {
    return await openOn(servers, lane);
  } catch (error) {
    await servers.stop();
    throw error;
  }
}

async function openOn(servers: FaultServers, lane: Lane): Promise<OverloadStand> {
  const databases = await createRunDatabases(servers, 'overload');
  await stockBooks(databases.inventory);
  const port = await findFreePorts(7);
  const env = {
    ...{ PORT: `${port}`, DATABASE_URL: databases.orders, SETTLE_LANE: lane, LOG_LEVEL: 'warn' },
    ...{ SETTLE_INVENTORY_DATABASE_URL: databases.inventory, SETTLE_ACCOUNTS_DATABASE_URL: databases.accounts },
    ...{ SETTLE_PROFILES_DATABASE_URL: databases.profiles, TEMPORAL_ADDRESS: servers.temporal.address },
    SETTLE_TASK_QUEUE: `overload-${randomUUID()}`,
  };
  const url = `http://127.0.0.1:${port}`;
  const isReady = (): Promise<boolean> =>
    fetch(`${url}/health/ready`).then(
      ({ ok }) => ok,
      () => false,
    );
  const main = await startMain({ args: ['all'], env, timeoutMs: 120_000, ready: /^/ });
  for (const end = Date.now() + 120_000; !(await isReady());) {
    if (Date.now() > end || !main.isRunning()) throw new Error(`not ready:\n${main.output()}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  const pool = new pg.Pool({ connectionString: databases.orders, max: 2 });
  return {
    offer: (how) =>
      runGenerator(['--url', url, ...Object.entries(how).flatMap(([name, value]) => [`--${name}`, `${value}`])]),
    untilSettled: () =>
      eventually(async () => expect((await countSagas(pool)).open).toBe(0), { timeoutMs: 280_000, everyMs: 100 }),
    count: () => countSagas(pool),
    holdLedger: (ms) =>
      withTransaction(pool, async (client) => {
        await client.query('lock table settle.saga in exclusive mode');
        await pause(ms);
      }),
    memoryMb: () => memoryMb(main.pid),
    stop: async () => {
      await pool.end();
      await main.kill('SIGTERM');
      await servers.stop();
    },
  };
}

/** Orders of one book alone would wait for its row. */
async function stockBooks(databaseUrl: string): Promise<void> {
  const client = new pg.Client(databaseUrl);
  await client.connect();
  await client.query(
    `insert into inventory.stock (sku, opening, on_hand) select 'book-' || n, 1000000, 1000000 from generate_series(1, 100) as n`,
  );
  await client.end();
}

async function countSagas(pool: pg.Pool): Promise<{ settled: number; open: number }> {
  const { rows } = await pool.query<{ settled: number; open: number }>(
    `select count(*) filter (where state = 'completed')::int as settled, (count(*) - count(finished_at))::int as open from settle.saga`,
  );
  return rows[0]!;
}

function runGenerator(args: readonly string[]): Promise<OfferedLoad> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, ['--import', TYPESCRIPT, GENERATOR, ...args], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    onFinish(() => child.kill('SIGKILL'));
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.once('error', reject).once('close', (code) => {
      if (code === 0) resolve(JSON.parse(output) as OfferedLoad);
      else reject(new Error(`the generator ended with ${code}: ${output}`));
    });
  });
}
