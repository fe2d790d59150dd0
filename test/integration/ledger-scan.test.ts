import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import type pg from 'pg';
import { createScanActivities, type Look } from '../../activities/ledger-scan.js';
import { createClient, ensureScanSchedule } from '../../src/api/temporal.js';
import type { TemporalConfig } from '../../src/config.js';
import { listScanCounts } from '../../src/db/scan-counts.js';
import { TUNING } from '../../src/worker.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { openPool } from '../support/pools.js';
import { bundleSources, quietRuntime } from '../support/workflow-bundle.js';

const database = useDatabase('producer');
const NOTHING = { due: 0, started: 0, failed: 0 };
let pool: pg.Pool;
let connection: NativeConnection;
let client: Client;
let config: TemporalConfig;

beforeAll(async () => {
  quietRuntime();
  pool = openPool(database.url, { name: 'ledger-scan' });
  const address = process.env.SETTLE_TEST_TEMPORAL_ADDRESS!;
  connection = await NativeConnection.connect({ address });
  config = { address, namespace: 'default', taskQueue: randomUUID(), uiUrl: '' };
  client = createClient(connection, config);
});

const running = new Set<Scanner>();

afterEach(async () => {
  await Promise.all([...running].map((scanner) => scanner.stop()));
  await client.schedule.getHandle(`settle-scan-${config.taskQueue}`).delete();
});

afterAll(async () => {
  await connection.close();
  await pool.end();
});

interface Scanner {
  /** Rounds made so far. */
  readonly rounds: () => number;
  readonly stop: () => Promise<void>;
}

async function startScanner(look: Look = () => Promise.resolve(NOTHING)): Promise<Scanner> {
  const stopping = new AbortController();
  let rounds = 0;
  const looks = {
    saga: (signal: AbortSignal) => {
      rounds += 1;
      return look(signal);
    },
    'half-message': () => Promise.reject(new Error('the database is away')),
  };
  // one connection has one worker of a task queue
  const own = await NativeConnection.connect({ address: config.address });
  const worker = await Worker.create({
    connection: own,
    taskQueue: config.taskQueue,
    workflowBundle: await bundleSources(),
    activities: { ...createScanActivities({ pool, looks, stopping: stopping.signal }) },
    ...TUNING,
  });
  const finished = worker.run();
  const scanner: Scanner = {
    rounds: () => rounds,
    stop: async () => {
      stopping.abort();
      if (!running.delete(scanner)) return;
      worker.shutdown();
      await finished;
      await own.close();
    },
  };
  running.add(scanner);
  return scanner;
}

const makes = (scanner: Scanner, rounds: number): Promise<void> =>
  eventually(() => {
    expect(scanner.rounds()).toBeGreaterThanOrEqual(rounds);
  });

test('however many workers ask for it the scan is scheduled once, goes on round after round, and counts what it found', async () => {
  const scanner = await startScanner(() => Promise.resolve({ due: 3, started: 1, failed: 0 }));
  await Promise.all(Array.from({ length: 5 }, () => ensureScanSchedule(client, config)));
  await ensureScanSchedule(client, config);
  await makes(scanner, 3);
  await scanner.stop();
  const counts = new Map((await listScanCounts(pool)).map((count) => [count.kind, count]));
  const rounds = scanner.rounds();
  expect(counts.get('saga')).toMatchObject({ due: 3 * rounds, started: rounds, failed: 0 });
  // a kind that fails keeps no other from its turn
  expect(counts.get('half-message')).toMatchObject({ due: 0, failed: rounds });
});

test('of several workers one scans, and when it stops another goes on', async () => {
  const scanners = [await startScanner(), await startScanner()];
  await ensureScanSchedule(client, config);
  const busy = await eventually(() => {
    const found = scanners.find(({ rounds }) => rounds() > 1);
    if (!found) throw new Error('nobody scans yet');
    return found;
  });
  const idle = scanners.find((scanner) => scanner !== busy)!;
  expect(idle.rounds()).toBe(0);
  await busy.stop();
  await makes(idle, 2);
});

/** A scanner of a task queue of its own whose first round goes on until `finish` is called. */
async function beginSlowRound(): Promise<{ slow: Scanner; finish: () => void }> {
  // the runs of the tests before go on by themselves
  config = { ...config, taskQueue: randomUUID() };
  let finish = (): void => undefined;
  const round = new Promise<typeof NOTHING>((resolve) => (finish = () => resolve(NOTHING)));
  const slow = await startScanner(() => round);
  await ensureScanSchedule(client, config);
  await makes(slow, 1);
  return { slow, finish };
}

test('a round that takes long is not taken for a worker that has died', async () => {
  const { slow, finish } = await beginSlowRound();
  try {
    // without its heartbeat there is another attempt each 5 s at the latest; a machine that stands still for a moment causes one, and no more
    await eventually(async () => {
      const before = slow.rounds();
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      expect(slow.rounds()).toBe(before);
    });
  } finally {
    finish();
  }
});

test('Temporal hears of a round under way each second, so that a moment in which nothing goes on is no death', async () => {
  const { finish } = await beginSlowRound();
  const lastBeat = async (): Promise<string> => {
    const { info } = await client.schedule.getHandle(`settle-scan-${config.taskQueue}`).describe();
    const { workflow } = info.recentActions.at(-1)!.action;
    const { raw } = await client.workflow.getHandle(workflow.workflowId).describe();
    return JSON.stringify(raw.pendingActivities?.[0]?.lastHeartbeatTime);
  };
  try {
    // kept back until 80 % of the time-out are over, as the SDK would by itself, there are four at the most
    await eventually(async () => {
      const beats = new Set<string>();
      const endMs = Date.now() + 6_000;
      while (Date.now() < endMs) {
        beats.add(await lastBeat());
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      expect(beats.size).toBeGreaterThanOrEqual(5);
    });
  } finally {
    finish();
  }
});
