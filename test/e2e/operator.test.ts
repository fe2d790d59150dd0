import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import type { ActionView } from '../../src/api/operator-schemas.js';
import { usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { useWarehouseStack } from '../support/warehouse-stack.js';

const CLI = fileURLToPath(new URL('../../dist/src/cli/main.js', import.meta.url));
const stack = useWarehouseStack();
const ledger = usePool(stack.ledger);
const { park } = stack;

const act = async (sagaId: string, change: object): Promise<{ status: number; body: ActionView }> => {
  const response = await fetch(`${stack.url}/v1/sagas/${sagaId}/actions`, {
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
    expect((await stack.shop.saga(sagaId)).steps[1]).toMatchObject({
      status: 'parked',
      parkReason: { code: 'closed' },
    });
    expect(await act(sagaId, { action, ...change })).toMatchObject({ status: 200 });
    expect(await stack.shop.settled(sagaId)).toMatchObject({
      state: 'compensated',
      reason: { code },
      actions: [{ action }],
    });
    expect(stack.warehouse.applied.get(sagaId)).toEqual(applied);
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
    expect(await stack.shop.settled(sagaId)).toMatchObject({ state });
    expect(stack.warehouse.applied.get(sagaId)).toEqual(applied);
  });
});

test('a resolved saga leaves no workflow behind', async () => {
  const sagaId = await park('release');
  await act(sagaId, { action: 'resolve', outcome: 'compensated' });
  const connection = await Connection.connect({ address: process.env.SETTLE_TEST_TEMPORAL_ADDRESS! });
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
  await stack.shop.settled(sagaId);
  expect(await act(sagaId, actions[winner]!)).toEqual(answers[winner]);
  expect(stack.warehouse.applied.get(sagaId)).toEqual(['deduct book', 'release book']);
  expect((await stack.shop.saga(sagaId)).actions).toHaveLength(1);
});

test('an action that no worker can hear stands, and is delivered when one is back', async () => {
  const sagaId = await park('release');
  await stack.kill('worker');
  expect((await act(sagaId, { action: 'retry' })).status).toBe(202);
  await stack.start('worker');
  expect(await stack.shop.settled(sagaId)).toMatchObject({ state: 'compensated' });
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
      const options = { env: { PATH: process.env['PATH'], SETTLE_URL: stack.url } };
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
    const parkedView = (await settle('show', sagaId)).stdout;
    expect(parkedView).toContain("parked at 'stock': the warehouse is closed (closed)");
    expect(parkedView).toContain('possible: retry, skip, resolve, edit');
    const retried = await settle('retry', sagaId, '--reason', 'it is open again', '--actor', 'bob');
    expect(retried).toMatchObject({ code: 0, stderr: '' });
    expect(retried.stdout).toContain(`${sagaId} is compensating: retry 'stock' by bob`);
    await stack.shop.settled(sagaId);
    const shown = (await settle('show', sagaId)).stdout;
    expect(shown).toContain("bob: retry 'stock', it is open again");
    expect(shown).toMatch(/stock +inventory\.release +undone/);
    const json = await settle('show', sagaId, '--json');
    expect(JSON.parse(json.stdout)).toMatchObject({ sagaId, state: 'compensated' });
    expect((await settle('list', '--state', 'compensated')).stdout).toContain(sagaId);
  });

  test('shows a half message, and one of the outbox', async () => {
    const type = 'inventory.deduct';
    const response = await fetch(`${stack.url}/v1/messages`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
      body: JSON.stringify({ type, payload, checkBackUrl: 'http://127.0.0.1:1/' }),
    });
    const { messageId } = (await response.json()) as { messageId: string };
    const { rows } = await ledger.query<{ id: string }>('select settle.send($1, $2) as id', [type, payload]);
    for (const [id, line] of [
      [messageId, /prepared\n {2}no verdict; checks \d+ answered, \d+ silent; attempts 0/],
      [rows[0]!.id, /(pending|delivered)\n {2}sent with its transaction; attempts \d/],
    ] as const) {
      const { code, stdout, stderr } = await settle('show', id);
      expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
      expect(stdout).toMatch(new RegExp(`^${id}  inventory\\.deduct  ${line.source}`));
    }
  });

  test('previews a repair, makes its calls once it is confirmed, and shows what became of each', async () => {
    const ids = [await park('release'), await park('release')];
    const given = ['retry', '--code', 'closed', '--reason', 'it is open again'];
    const previewed = await settle('repair', ...given);
    for (const id of ids) expect(previewed.stdout).toMatch(new RegExp(`${id} +stock +retry +planned`));
    const repairId = /settle repair confirm (rp_\S+)/.exec(previewed.stdout)![1]!;
    expect((await stack.shop.saga(ids[0]!)).state).toBe('parked');
    expect(await settle('repair', 'confirm', repairId)).toMatchObject({ code: 0, stderr: '' });
    await eventually(async () => {
      expect((await settle('repair', 'show', repairId)).stdout).toContain(
        `${repairId} is done: retry on 2 (0 planned, 2 done`,
      );
    });
    for (const id of ids) expect((await stack.shop.settled(id)).state).toBe('compensated');
    expect((await settle('repair', 'cancel', repairId)).stderr).toContain('the repair is done');
    expect((await settle('repair', ...given)).stdout).toContain('there is nothing that it could be done to');
    const nothing = JSON.parse((await settle('repair', ...given, '--yes', '--json')).stdout) as object;
    expect(nothing).toMatchObject({ count: 0, action: 'retry' });
  });

  test.each([
    [['retry', 'sg_x'], 2, "settle: 'retry' needs --reason"],
    [['retry', 'sg_x', '--reason', 'why'], 1, 'settle: there is no such saga'],
    [['resend', 'msg_x', '--reason', 'why'], 1, 'settle: there is no such saga or message'],
    [['show'], 2, "settle: 'show' needs the id of a saga"],
    [['show', 'sg_a', 'b'], 2, "settle: 'b' is too much"],
    [['show', 'ord_a'], 2, "settle: 'ord_a' is no id of a saga"],
    [['explode'], 2, "settle: 'explode' is no command"],
    [['list', '--nonsense'], 2, "settle: Unknown option '--nonsense'"],
    [['list', '--older-than', 'long'], 2, 'settle: --older-than must be such as'],
    [['repair'], 2, "settle: 'repair' needs an action"],
    [['repair', 'retry'], 2, "settle: 'retry' needs --reason"],
    [['repair', 'retry', '--reason', 'why', '--limit', 'x'], 2, 'settle: --limit must be a whole number'],
    [['repair', 'show', 'rp_x'], 1, 'settle: there is no such repair'],
    [['skip', 'sg_x', '--reason', 'why', '--result', '{'], 2, 'settle: --result is no JSON'],
    [['list', '--url', 'http://127.0.0.1:1'], 3, 'settle: the API at http://127.0.0.1:1 cannot be reached'],
  ])('says in one line what is wrong with %j, and ends with %d', async (args, exitCode, message) => {
    const { code, stdout, stderr } = await settle(...args);
    expect({ code, stdout, lines: stderr.split('\n').length }).toEqual({ code: exitCode, stdout: '', lines: 2 });
    expect(stderr).toContain(message);
  });
});
