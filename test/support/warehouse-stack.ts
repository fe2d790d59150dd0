import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { loadConfig } from '../../src/config.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { openWarehouse, type Warehouse } from './closable-warehouse.js';
import { useDatabase } from './databases.js';
import { eventually } from './eventually.js';
import { runMain, startMain, type MainProcess } from './processes.js';
import { openShop, type Shop } from './shop.js';

/** An installation of processes whose inventory is a warehouse that the test can close. */
export interface WarehouseStack {
  readonly url: string;
  readonly env: Readonly<Record<string, string>>;
  readonly ledger: ReturnType<typeof useDatabase>;
  readonly warehouse: Warehouse;
  readonly shop: Shop;
  /** Kills a role without warning. */
  kill(role: 'api' | 'worker'): Promise<void>;
  start(role: 'api' | 'worker'): Promise<void>;
  /** An order without money, whose stock is not taken back: or one whose stock cannot be taken. Waits until it is parked. */
  park(refuses: 'deduct' | 'release'): Promise<string>;
}

/** Where the sample participants listen: their ports follow the API's. */
const OTHER_TYPES = Object.entries(loadConfig({ PORT: '10000' }).routes)
  .filter(([type]) => !type.startsWith('inventory.'))
  .flatMap(([type, route]) =>
    route.transport === 'http' ? [[type, Number(new URL(route.url).port) - 10_000] as const] : [],
  );

/** Starts one for the tests of a file; it is there once their `beforeAll` has run. */
export function useWarehouseStack(): WarehouseStack {
  const producer = useDatabase('producer');
  const inventory = useDatabase('inventory');
  const accounts = useDatabase('accounts');
  const profiles = useDatabase('profiles');
  const folder = mkdtempSync(join(tmpdir(), 'settle-test-'));
  const roles = new Map<string, MainProcess>();
  const stack = {} as { -readonly [Name in keyof WarehouseStack]: WarehouseStack[Name] };
  const start = async (role: string): Promise<void> => {
    roles.set(role, await startMain({ args: [role], env: stack.env }));
  };
  beforeAll(async () => {
    const port = await findFreePorts(7);
    const routesFile = join(folder, 'routes.yml');
    const env = {
      ...{ PORT: `${port}`, DATABASE_URL: producer.url, SETTLE_ROUTES: routesFile },
      ...{ SETTLE_INVENTORY_DATABASE_URL: inventory.url, SETTLE_ACCOUNTS_DATABASE_URL: accounts.url },
      SETTLE_PROFILES_DATABASE_URL: profiles.url,
      ...{
        TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
        SETTLE_TASK_QUEUE: `warehouse-${randomUUID()}`,
      },
    };
    const warehouse = await openWarehouse(inventory.url);
    const route = (base: string, type: string): object => ({ [type]: { url: `${base}/messages/${type}` } });
    const stock = ['inventory.deduct', 'inventory.release'].map((type) => route(warehouse.url, type));
    const other = OTHER_TYPES.map(([type, offset]) => route(`http://127.0.0.1:${port + offset}`, type));
    writeFileSync(routesFile, stringify(Object.assign({}, ...stock, ...other)));
    const url = `http://127.0.0.1:${port}`;
    Object.assign(stack, { url, env, warehouse, shop: openShop(url) });
    expect(await runMain({ args: ['migrate', '--seed'], env })).toMatchObject({ code: 0 });
    await Promise.all(['participants', 'worker', 'api'].map(start));
  });
  afterAll(async () => {
    await stack.warehouse.stop();
    for (const role of ['api', 'worker', 'participants']) await roles.get(role)?.kill('SIGTERM');
    rmSync(folder, { recursive: true });
  });
  return Object.assign(stack, {
    ledger: producer,
    start,
    kill: async (role: string) => void (await roles.get(role)!.kill('SIGKILL')),
    park: async (refuses: 'deduct' | 'release') => {
      stack.warehouse.refuses = refuses;
      const { body } = await stack.shop.order({ customerId: refuses === 'release' ? 'c-poor' : 'c-1' });
      await eventually(async () => expect(await stack.shop.saga(body.sagaId)).toMatchObject({ state: 'parked' }));
      stack.warehouse.refuses = 'nothing';
      return body.sagaId;
    },
  });
}
