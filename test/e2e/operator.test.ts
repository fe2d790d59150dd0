import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { stringify } from 'yaml';
import type { ActionView } from '../../src/api/operator-schemas.js';
import type { SagaView } from '../../src/api/schemas.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { openWarehouse, type Warehouse } from '../support/closable-warehouse.js';
import { useDatabase, usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { runMain, startMain, type MainProcess } from '../support/processes.js';
import { openShop, type Shop } from '../support/shop.js';

const CLI = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const producer = useDatabase('producer');
const inventory = useDatabase('inventory');
const accounts = useDatabase('accounts');
const ledger = usePool(producer);
const folder = mkdtempSync(join(tmpdir(), 'settle-test-'));
let [api, worker, participants]: MainProcess[] = [];
let warehouse: Warehouse;
let env: Record<string, string>;
let url: string;
let shop: Shop;

beforeAll(async () => {
  const port = await findFreePorts(6);
  url = `http://127.0.0.1:${port}`;
  env = {
    ...{ PORT: `${port}`, DATABASE_URL: producer.url, SETTLE_ROUTES: join(folder, 'routes.yml') },
    ...{ SETTLE_INVENTORY_DATABASE_URL: inventory.url, SETTLE_ACCOUNTS_DATABASE_URL: accounts.url },
    ...{ TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!, SETTLE_TASK_QUEUE: `operator-${randomUUID()}` },
  };
  warehouse = await openWarehouse(inventory.url);
  const route = (base: string, type: string): object => ({ [type]: { url: `${base}/messages/${type}` } });
  const routes = ['inventory.deduct', 'inventory.release'].map((type) => route(warehouse.url, type));
  const money = ['accounts.debit', 'accounts.refund'].map((type) => route(`http://127.0.0.1:${port + 2}`, type));
  writeFileSync(env['SETTLE_ROUTES']!, stringify(Object.assign({}, ...routes, ...money)));
  expect(await runMain({ args: ['migrate', '--seed'], env })).toMatchObject({ code: 0 });
  [participants, worker, api] = await Promise.all(
    ['participants', 'worker', 'api'].map((role) => startMain({ args: [role], env })),
  );
  shop = openShop(url);
});

afterAll(async () => {
  await warehouse.stop();
  for (const main of [api, worker, participants]) await main!.kill('SIGTERM');
  rmSync(folder, { recursive: true });
});

const untilParked = (sagaId: string): Promise<SagaView> =>
  eventually(async () => {
    const saga = await shop.saga(sagaId);
    expect(saga.state).toBe('parked');
    return saga;
  });

/** An order without money, whose stock is not taken back: or one whose stock cannot be taken. */
const park = async (refuses: 'deduct' | 'release'): Promise<string> => {
  warehouse.refuses = refuses;
  const { body } = await shop.order({ customerId: refuses === 'release' ? 'c-poor' : 'c-1' });
  await untilParked(body.sagaId);
  warehouse.refuses = 'nothing';
  return body.sagaId;
};

const act = async (sagaId: string, change: object): Promise<{ status: number; body: ActionView }> => {
  const response = await fetch(`${url}/v1/sagas/${sagaId}/actions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ actionId: randomUUID(), actor: 'ann', reason: 'called the warehouse', ...change }),
  });
  return { status: response.status, body: (await response.json()) as ActionView };
};

const payload = { orderId: 'o', items: [{ sku: 'pen', quantity: 1 }] };

describe('an undo that was refused is repaired', () => {
  test.each([
    ['retry', {}, ['deduct book', 'release book'], 'insufficient-funds'],
    ['edit', { payload }, ['deduct book', 'release pen'], 'insufficient-funds'],
    ['skip', {}, ['deduct book'], 'insufficient-funds'],
    ['resolve', { outcome: 'compensated' }, ['deduct book'], 'resolved-manually'],
  ])('by %s', async (action, change, applied, code) => {
    const sagaId = await park('release');
    expect((await shop.saga(sagaId)).steps[1]).toMatchObject({ status: 'parked', parkReason: { code: 'closed' } });
    expect(await act(sagaId, { action, ...change })).toMatchObject({ status: 200 });
    expect(await shop.settled(sagaId)).toMatchObject({ state: 'compensated', reason: { code }, actions: [{ action }] });
    expect(warehouse.applied.get(sagaId)).toEqual(applied);
    const { rows } = await ledger.query(
      'select before, after, delivered_at from settle.operator_action where subject_id = $1',
      [sagaId],
    );
    expect(rows).toMatchObject([
      { before: { state: 'parked' }, after: { parked: {} }, delivered_at: expect.any(Date) },
    ]);
  });
});

describe('a step that is parked on its way forward is repaired', () => {
  test.each([
    ['edit', { payload }, 'completed', ['deduct pen']],
    ['skip', { result: { reservationId: 'by hand' } }, 'completed', undefined],
    ['compensate', {}, 'compensated', undefined],
    ['resolve', { outcome: 'completed' }, 'completed', undefined],
  ])('by %s', async (action, change, state, applied) => {
    const sagaId = await park('deduct');
    expect(await act(sagaId, { action, ...change })).toMatchObject({ status: 200 });
    expect(await shop.settled(sagaId)).toMatchObject({ state });
    expect(warehouse.applied.get(sagaId)).toEqual(applied);
  });
});

test('a resolved saga leaves no workflow behind', async () => {
  const sagaId = await park('release');
  await act(sagaId, { action: 'resolve', outcome: 'compensated' });
  const connection = await Connection.connect({ address: env['TEMPORAL_ADDRESS']! });
  await eventually(async () => {
    const { status } = await new Client({ connection }).workflow.getHandle(sagaId).describe();
    expect(status.name).toBe('COMPLETED');
  });
  await connection.close();
});

test('of several operators at once one decides, and repeating the action changes nothing', async () => {
  const sagaId = await park('release');
  const actions = Array.from({ length: 6 }, () => ({ actionId: randomUUID(), action: 'retry' }));
  const answers = await Promise.all(actions.map((action) => act(sagaId, action)));
  const winner = answers.findIndex(({ status }) => status === 200);
  expect(answers.filter(({ status }) => status === 409)).toHaveLength(5);
  await shop.settled(sagaId);
  expect(await act(sagaId, actions[winner]!)).toEqual(answers[winner]);
  expect(warehouse.applied.get(sagaId)).toEqual(['deduct book', 'release book']);
  expect((await shop.saga(sagaId)).actions).toHaveLength(1);
});

test('an action that no worker can hear stands, and is delivered when one is back', async () => {
  const sagaId = await park('release');
  await worker!.kill('SIGKILL');
  expect((await act(sagaId, { action: 'retry' })).status).toBe(202);
  worker = await startMain({ args: ['worker'], env });
  expect(await shop.settled(sagaId)).toMatchObject({ state: 'compensated' });
  await eventually(
    async () => {
      const { rows } = await ledger.query(
        'select 1 from settle.operator_action where subject_id = $1 and delivered_at is null',
        [sagaId],
      );
      expect(rows).toEqual([]);
    },
    { timeoutMs: 60_000 },
  );
});

describe('npx settle', () => {
  const settle = (...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> =>
    new Promise((resolve) => {
      const options = { env: { PATH: process.env['PATH'], SETTLE_URL: url } };
      execFile(process.execPath, [CLI, ...args], options, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr });
      });
    });

  test('lists what is parked, shows it, repairs it, and shows what was done', async () => {
    const sagaId = await park('release');
    const listed = await settle('list');
    expect(listed.stdout).toMatch(
      new RegExp(`${sagaId} .*stock/undo .*retry,skip,resolve,edit .*closed: the warehouse`),
    );
    expect(listed.stdout).not.toContain('\u001b');
    expect((await settle('show', sagaId)).stdout).toContain("parked at 'stock': the warehouse is closed (closed)");
    const retried = await settle('retry', sagaId, '--reason', 'it is open again', '--actor', 'bob');
    expect(retried).toMatchObject({ code: 0, stderr: '' });
    expect(retried.stdout).toContain(`${sagaId} is compensating: retry 'stock' by bob`);
    await shop.settled(sagaId);
    const shown = (await settle('show', sagaId)).stdout;
    expect(shown).toContain("bob: retry 'stock', it is open again");
    expect(shown).toMatch(/stock +inventory\.release +undone/);
    const json = await settle('show', sagaId, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ sagaId, state: 'compensated' });
    expect((await settle('list', '--state', 'compensated')).stdout).toContain(sagaId);
  });

  test.each([
    [['retry', 'sg_x'], "settle: 'retry' needs --reason"],
    [['retry', 'sg_x', '--reason', 'why'], 'settle: there is no such saga'],
    [['show'], "settle: 'show' needs the id of a saga"],
    [['explode'], "settle: 'explode' is no command"],
    [['list', '--nonsense'], "settle: Unknown option '--nonsense'"],
    [['skip', 'sg_x', '--reason', 'why', '--result', '{'], 'settle: --result is no JSON'],
    [['list', '--url', 'http://127.0.0.1:1'], 'settle: the API at http://127.0.0.1:1 cannot be reached'],
  ])('says in one line what is wrong with %j', async (args, message) => {
    const { code, stdout, stderr } = await settle(...args);
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: 1, stdout: '', lines: 2 });
    expect(stderr).toContain(message);
  });
});
