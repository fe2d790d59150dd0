import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config.js';
import { findFreePorts } from '../../src/dev/ports.js';
import type { Lane } from '../../src/saga/lane.js';
import { useDatabase } from './databases.js';
import { startParticipant, type AnsweringParticipant } from './express.js';
import { openOffice, type Office } from './office.js';
import { memoryMb, runMain, startMain, type MainProcess } from './processes.js';

/** API and worker as processes, and two participants in the test's own: orders need both. */
export interface TroubleStack {
  readonly office: Office;
  /** Gets what concerns the stock. */
  readonly inventory: AnsweringParticipant;
  /** Gets all the rest. */
  readonly others: AnsweringParticipant;
  readonly ledger: ReturnType<typeof useDatabase>;
  /** All that the worker has logged. */
  log(): string;
  /** Of the API's process, in MB. */
  apiMemoryMb(): number;
}

/** Starts one for the tests of a file; it is there once their `beforeAll` has run. */
export function useTroubleStack(name: string, lane: Lane = 'workflow'): TroubleStack {
  const ledger = useDatabase('producer');
  const folder = mkdtempSync(join(tmpdir(), 'settle-test-'));
  const running: MainProcess[] = [];
  const stack = { ledger } as { -readonly [Name in keyof TroubleStack]: TroubleStack[Name] };
  beforeAll(async () => {
    const port = await findFreePorts(1);
    stack.inventory = await startParticipant();
    stack.others = await startParticipant();
    const { inventory, others } = stack;
    const routes = Object.keys(loadConfig({}).routes).map((type) => [
      type,
      { url: (type.startsWith('inventory.') ? inventory : others).url },
    ]);
    const routesFile = join(folder, 'routes.yml');
    writeFileSync(routesFile, stringify(Object.fromEntries(routes)));
    const env = {
      ...{ PORT: `${port}`, DATABASE_URL: ledger.url, SETTLE_ROUTES: routesFile, SETTLE_LANE: lane },
      TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
      SETTLE_TASK_QUEUE: `${name}-${randomUUID()}`,
    };
    expect(await runMain({ args: ['migrate', '--seed'], env, timeoutMs: 90_000 })).toMatchObject({ code: 0 });
    const [worker, api] = await Promise.all(
      ['worker', 'api'].map((role) => startMain({ args: [role], env, timeoutMs: 90_000 })),
    );
    running.push(api!, worker!);
    stack.log = () => worker!.output();
    stack.apiMemoryMb = () => memoryMb(api!.pid);
    stack.office = openOffice(`http://127.0.0.1:${port}`);
  });
  afterAll(async () => {
    for (const each of running) await each.kill('SIGTERM');
    await Promise.all([stack.inventory.close(), stack.others.close()]);
    rmSync(folder, { recursive: true });
  });
  return stack as TroubleStack;
}
