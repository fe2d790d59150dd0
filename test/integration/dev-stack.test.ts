import { execFile } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { commandLineOf, isAlive } from '../../src/dev/child.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { eventually } from '../support/eventually.js';
import { runMain, startMain } from '../support/processes.js';
import type { MainProcess } from '../support/processes.js';

/** `npm start` of an installation of its own. */
interface Installation {
  readonly dataDir: string;
  readonly env: Record<string, string>;
}

async function makeInstallation(): Promise<Installation> {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-dev-'));
  // PostgreSQL runs as another user when we are root
  chmodSync(dataDir, 0o755);
  // the latest first: whatever a failed test has left running goes before its folder
  onFinish(() => rmSync(dataDir, { recursive: true, force: true }));
  onFinish(() => notedServers({ dataDir }).forEach((pid) => process.kill(pid, 'SIGKILL')));
  return { dataDir, env: { PORT: String(await findFreePorts(7)), SETTLE_DATA_DIR: dataDir } };
}

const start = ({ env }: Installation): Promise<MainProcess> => startMain({ args: ['dev'], env });

/** The servers that the lock file names and that still run. */
function notedServers({ dataDir }: Pick<Installation, 'dataDir'>): number[] {
  const lock = join(dataDir, 'stack.lock');
  if (!existsSync(lock)) return [];
  const { children } = JSON.parse(readFileSync(lock, 'utf8')) as { children: number[] };
  return children.filter((pid) => isAlive(pid) && commandLineOf(pid).includes(dataDir));
}

async function placeOrder({ env }: Installation, key: string): Promise<string> {
  const response = await fetch(`http://127.0.0.1:${env.PORT}/v1/orders`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify({ customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1 }] }),
  });
  return ((await response.json()) as { sagaId: string }).sagaId;
}

function expectCompleted({ env }: Installation, sagaId: string): Promise<void> {
  return eventually(async () => {
    const saga = await fetch(`http://127.0.0.1:${env.PORT}/v1/sagas/${sagaId}`);
    expect(await saga.json()).toMatchObject({ state: 'completed' });
  });
}

test('two stacks run side by side, each with its own data', async () => {
  const [one, two] = [await makeInstallation(), await makeInstallation()];
  const stacks = [await start(one), await start(two)];
  const saga = await placeOrder(one, 'key');
  await expectCompleted(one, saga);
  expect((await fetch(`http://127.0.0.1:${two.env.PORT}/v1/sagas/${saga}`)).status).toBe(404);
  for (const stack of stacks) expect(await stack.kill('SIGTERM')).toEqual({ code: 0, signal: null });
});

test('Ctrl-C leaves no process, and the next start finds all data', async () => {
  const installation = await makeInstallation();
  const first = await start(installation);
  expect(first.output()).toMatch(/API +http:.*OpenAPI page +http:.*Temporal Web UI +http:.*curl/s);
  const servers = notedServers(installation);
  expect(servers).toHaveLength(2);
  const saga = await placeOrder(installation, 'key');
  await expectCompleted(installation, saga);

  expect(await first.kill('SIGINT')).toEqual({ code: 0, signal: null });
  expect([...servers.filter(isAlive), existsSync(join(installation.dataDir, 'stack.lock'))]).toEqual([false]);

  const second = await start(installation);
  await expectCompleted(installation, saga);
  expect(await placeOrder(installation, 'key')).toBe(saga);
  await second.kill('SIGINT');
});

test('after kill -9 the next start ends the orphaned servers and finds all data', async () => {
  const installation = await makeInstallation();
  const first = await start(installation);
  const saga = await placeOrder(installation, 'key');
  const orphans = notedServers(installation);
  await first.kill('SIGKILL');
  expect(orphans.filter(isAlive)).toHaveLength(2);

  const second = await start(installation);
  expect(orphans.filter(isAlive)).toEqual([]);
  await expectCompleted(installation, saga);
  await second.kill('SIGINT');
});

test('a second start on the same data says who holds it, and harms nothing', async () => {
  const installation = await makeInstallation();
  const first = await start(installation);
  const { code, output } = await runMain({ args: ['dev'], env: installation.env });
  expect(output).toBe(
    `settle: data folder '${installation.dataDir}' is in use by process ${first.pid}; ` +
      `stop that one, or set SETTLE_DATA_DIR to another folder\n`,
  );
  expect(code).toBe(1);
  await expectCompleted(installation, await placeOrder(installation, 'key'));
  await first.kill('SIGINT');
});

test('a server that ends by itself ends the stack, in one line', async () => {
  const installation = await makeInstallation();
  const stack = await start(installation);
  const temporal = notedServers(installation).find((pid) => commandLineOf(pid).includes('temporal.db'))!;
  process.kill(temporal, 'SIGKILL');
  expect(await stack.exited).toEqual({ code: 1, signal: null });
  expect(stack.output()).toContain(
    'settle: Temporal has ended by itself; its log is temporal.log in the data folder\n',
  );
  expect(notedServers(installation)).toEqual([]);
});

test.each([
  [0, 'the API', 'PORT'],
  [2, 'the accounts participant', 'SETTLE_ACCOUNTS_PORT'],
  [3, 'PostgreSQL', 'SETTLE_POSTGRES_PORT'],
  [4, 'Temporal', 'SETTLE_TEMPORAL_PORT'],
  [5, 'the Temporal Web UI', 'SETTLE_UI_PORT'],
  [6, 'the profiles participant', 'SETTLE_PROFILES_PORT'],
])('a port in use is one line, and nothing is started: PORT + %d, for %s', async (offset, use, setting) => {
  const { env, dataDir } = await makeInstallation();
  const port = Number(env.PORT) + offset;
  const squatter = createServer().listen(port, '127.0.0.1');
  await once(squatter, 'listening');
  try {
    const { code, output } = await runMain({ args: ['dev'], env });
    expect(output).toBe(`settle: port ${port} on 127.0.0.1, for ${use}, is in use; set ${setting} to another\n`);
    expect([code, existsSync(join(dataDir, 'postgres')), notedServers({ dataDir })]).toEqual([1, false, []]);
  } finally {
    squatter.close();
  }
});

test('a start that is interrupted leaves nothing running', async () => {
  const installation = await makeInstallation();
  const starting = startMain({ args: ['dev'], env: installation.env, ready: /never/, timeoutMs: 240_000 });
  // as soon as there is a server to be left behind
  const ended = starting.catch((error: Error) => error.message);
  await eventually(() => expect(notedServers(installation)).not.toEqual([]));
  const lock = JSON.parse(readFileSync(join(installation.dataDir, 'stack.lock'), 'utf8')) as { pid: number };
  process.kill(lock.pid, 'SIGTERM');
  expect(await ended).toContain('settle: stopped before it was ready');
  expect(notedServers(installation)).toEqual([]);
});

test('an outside database that cannot be reached is one line, and what had started is stopped', async () => {
  const { env, dataDir } = await makeInstallation();
  const { code, output } = await runMain({
    args: ['dev'],
    env: { ...env, DATABASE_URL: 'postgres://u:hunter2@127.0.0.1:1/d' },
  });
  expect(output).toMatch(/^settle: PostgreSQL at 127\.0\.0\.1:1\/d \(DATABASE_URL\) cannot be reached: .*\n$/m);
  expect(output).not.toContain('hunter2');
  expect([code, notedServers({ dataDir })]).toEqual([1, []]);
});

test('a second Ctrl-C no longer waits for a server that does not end', async () => {
  const installation = await makeInstallation();
  const stack = await start(installation);
  const servers = notedServers(installation);
  servers.forEach((pid) => process.kill(pid, 'SIGSTOP'));
  await eventually(() => {
    // again and again, as an impatient person does: those within half a second count as one
    if (stack.isRunning()) process.kill(stack.pid, 'SIGINT');
    expect(stack.isRunning()).toBe(false);
  });
  expect(await stack.exited).toEqual({ code: 130, signal: null });
  await eventually(() => expect(servers.filter(isAlive)).toEqual([]));
});

test('the lines to copy place the orders that they announce, and show how each ended', async () => {
  const installation = await makeInstallation();
  const stack = await start(installation);
  const lines = stack.output().replaceAll('\\\n', '').split('\n');
  const commands = lines.filter((line) => /^ {2}(sleep 1; )?curl /.test(line)).map((line) => line.trim());
  expect(commands).toHaveLength(6);
  const ends: unknown[] = [];
  for (const [place, show] of [0, 2, 4].map((first) => commands.slice(first, first + 2))) {
    expect(await bash(place!)).toContain('"state":"accepted"');
    ends.push(
      await eventually(async () => {
        const saga = JSON.parse(await bash(show!)) as { state: string; reason: { code: string } | null };
        expect(['completed', 'compensated']).toContain(saga.state);
        return saga.reason?.code ?? saga.state;
      }),
    );
  }
  expect(ends).toEqual(['completed', 'out-of-stock', 'insufficient-funds']);
  await stack.kill('SIGINT');
});

async function bash(command: string): Promise<string> {
  return (await promisify(execFile)('bash', ['-c', command])).stdout;
}
