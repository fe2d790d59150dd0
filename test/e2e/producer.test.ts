import { spawn, type ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { findFreePorts } from '../../src/dev/ports.js';
import { PRODUCER_MIGRATION } from '../../src/producer/index.js';
import { useDatabase, usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { runMain, startMain, type MainProcess } from '../support/processes.js';

const settle = useDatabase('producer');
const inventory = useDatabase('inventory');
const accounts = useDatabase('accounts');
const profiles = useDatabase('profiles');
// the producer's own: Settle never sees it
const own = useDatabase('accounts');
const ledger = usePool(settle);
const stock = usePool(inventory);
const books = usePool(own);

const KINDS = {
  TypeScript: [process.execPath, '--import', path('../support/typescript.js'), path('./producer/program.ts')],
  Python: ['python3', path('./producer/program.py')],
} as const;
type Kind = keyof typeof KINDS;

let main: MainProcess;
let settleUrl: string;
const ports = {} as Record<Kind, string>;

beforeAll(async () => {
  await books.query(PRODUCER_MIGRATION);
  await books.query('create table public.invoice (id text primary key, message_id text not null)');
  const port = await findFreePorts(9);
  settleUrl = `http://127.0.0.1:${port}`;
  Object.assign(ports, { TypeScript: `${port + 7}`, Python: `${port + 8}` });
  const env = {
    PORT: `${port}`,
    DATABASE_URL: settle.url,
    SETTLE_INVENTORY_DATABASE_URL: inventory.url,
    SETTLE_ACCOUNTS_DATABASE_URL: accounts.url,
    SETTLE_PROFILES_DATABASE_URL: profiles.url,
    TEMPORAL_ADDRESS: process.env.SETTLE_TEST_TEMPORAL_ADDRESS!,
    SETTLE_TASK_QUEUE: `producer-${randomUUID()}`,
  };
  expect(await runMain({ args: ['migrate', '--seed'], env })).toMatchObject({ code: 0 });
  main = await startMain({ args: ['all'], env });
  await Promise.all((Object.keys(KINDS) as Kind[]).map(serve));
});
afterAll(() => main.kill('SIGTERM'));

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url));
}

function run(kind: Kind, args: readonly string[]): ChildProcess {
  const [command, ...first] = KINDS[kind];
  const child = spawn(command, [...first, ...args], { stdio: ['ignore', 'pipe', 'ignore'] });
  onFinish(() => end(child));
  return child;
}

/** Another process of the same producer: the one that answers check-backs. */
async function serve(kind: Kind): Promise<void> {
  const server = run(kind, ['serve', own.url, ports[kind]]);
  await new Promise<void>((resolve, reject) => {
    server.stdout!.once('data', () => resolve());
    server.once('exit', () => reject(new Error(`the ${kind} producer does not serve`)));
  });
}

function end(child: ChildProcess): Promise<unknown> | undefined {
  if (child.exitCode !== null || child.signalCode !== null) return undefined;
  const gone = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  return gone;
}

async function pay(kind: Kind, invoice: string, line: string): Promise<string> {
  const child = run(kind, ['pay', own.url, ports[kind], settleUrl, invoice, line]);
  return new Promise((resolve) => {
    child.once('exit', (code, signal) => resolve(signal ?? `exit ${code}`));
  });
}

interface Outcome {
  readonly isPaid: boolean;
  readonly isDelivered: boolean;
  readonly state?: string;
  readonly by?: string;
}

async function outcome(invoice: string): Promise<Outcome> {
  const { rows } = await ledger.query<{ id: string; state: string; by: string }>(
    'select id, state, decided_by as by from settle.half_message where idempotency_key = $1',
    [invoice],
  );
  const delivered = await stock.query('select 1 from inventory.inbox where saga_id = $1', [rows[0]?.id]);
  const paid = await books.query('select 1 from public.invoice where id = $1', [invoice]);
  return { isPaid: paid.rowCount === 1, isDelivered: delivered.rowCount === 1, state: rows[0]?.state, by: rows[0]?.by };
}

const delivered = (by: string): Outcome => ({ isPaid: true, isDelivered: true, state: 'delivered', by });
const dropped = (by: string): Outcome => ({ isPaid: false, isDelivered: false, state: 'rolled-back', by });
const untouched: Outcome = { isPaid: false, isDelivered: false, state: undefined, by: undefined };

test.concurrent.each([
  ['TypeScript', 'before prepare', 'SIGKILL', untouched],
  ['TypeScript', 'after prepare', 'SIGKILL', dropped('check-back')],
  ['TypeScript', 'inside the transaction', 'SIGKILL', dropped('check-back')],
  ['TypeScript', 'before commit', 'SIGKILL', dropped('check-back')],
  ['TypeScript', 'after commit, before confirm', 'SIGKILL', delivered('check-back')],
  ['TypeScript', 'after confirm', 'SIGKILL', delivered('producer')],
  ['TypeScript', 'nowhere', 'exit 0', delivered('producer')],
  ['TypeScript', 'nowhere, but the work fails', 'exit 1', dropped('producer')],
  ['Python', 'after prepare', 'SIGKILL', dropped('check-back')],
  ['Python', 'after commit, before confirm', 'SIGKILL', delivered('check-back')],
  ['Python', 'after confirm', 'SIGKILL', delivered('producer')],
  ['Python', 'nowhere', 'exit 0', delivered('producer')],
] as const)('a message is delivered exactly when its transaction committed: %s, killed %s', async (...example) => {
  const [kind, line, exit, expected] = example;
  const invoice = randomUUID();
  expect(await pay(kind, invoice, line)).toBe(exit);
  await eventually(async () => expect(await outcome(invoice)).toEqual(expected), { timeoutMs: 60_000 });
});
