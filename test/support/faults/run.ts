import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import pg from 'pg';
import { findFreePorts } from '../../../src/dev/ports.js';
import * as messages from '../../../src/messages/index.js';
import { eventually } from '../eventually.js';
import { check } from './checker.js';
import { openJournal, readJournal } from './client-journal.js';
import { collectBooks, collectEffects, collectInbox, collectLedger, type Databases } from './collect.js';
import type { Lane } from '../../../src/saga/lane.js';
import type { Arms } from './crash-points.js';
import type { Build } from './dist.js';
import type { Evidence, Expectations, Violation } from './evidence.js';
import { createRunDatabases, type FaultServers } from './fault-servers.js';
import { watchBooks } from './live.js';
import { cancel, startLoad, type Load, type RunningLoad, type Scenario } from './load.js';
import { startProxy, type Proxy } from './proxy.js';
import { untilQuiet } from './quiet.js';
import { createSupervisor, type Program, type Supervised, type Supervisor } from './supervisor.js';
import { collectTemporal } from './temporal-evidence.js';

/** A process of the system under test; `all` is the three in one. */
export type Role = 'api' | 'worker' | 'participants' | 'all';

/** One run: databases, a task queue and processes of its own, on servers that it shares. */
export interface Run {
  readonly supervisor: Supervisor;
  readonly databases: Databases;
  /** Between the workers and each participant. */
  readonly edges: { readonly inventory: Proxy; readonly accounts: Proxy };
  readonly client: Client;
  readonly apiUrl: string;
  /** What every process is started with from now on, unless `configure` changes it. */
  readonly env: Readonly<Record<string, string>>;
  /** Changes settings of the processes that are started from now on; an empty one is as good as unset. */
  configure(settings: Readonly<Record<string, string>>): void;
  /** Has the processes that are started from now on run another build. */
  deploy(build: Build): void;
  /** Starts a process as production does; `armed` sets its `CRASH`, `STALL` or `FAIL`, see crash-points.ts. */
  start(role: Role, armed?: Arms): Promise<Supervised>;
  load(load: Pick<Load, 'seed' | 'orders'> & Partial<Load>): RunningLoad;
  /** Waits until so many orders have been accepted since the run was opened. */
  untilAccepted(count: number): Promise<void>;
  /** Places one order; resolves with its saga's id once it is accepted. */
  order(scenario: Scenario): Promise<string>;
  /** Asks for a saga to be cancelled. */
  cancel(sagaId: string): Promise<void>;
  /** Waits until every order is accepted and every saga has settled, or is parked as planned, and Temporal knows it too. */
  untilQuiet(options?: { readonly parked?: number }): Promise<void>;
  /**
   * Ends the load, gathers the evidence and holds it against the invariants.
   *
   * @param bundle replays the histories. @default the bundle that the workers ran
   */
  verdict(expected?: Expectations, bundle?: string): Promise<readonly Violation[]>;
  /** How many deliveries the running participants have refused as duplicates. */
  countRepeated(): Promise<number>;
  /** Ends everything of this run. */
  close(): Promise<void>;
}

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const TYPESCRIPT = join(ROOT, 'test', 'support', 'typescript.js');
const ROLE_MAIN = join(ROOT, 'test', 'support', 'faults', 'role-main.ts');

let runs = 0;

/** What is different about a run. */
export interface RunOptions {
  /** That its sagas take. @default 'workflow' */
  readonly lane?: Lane;
  /** Whether it is over half a minute after the last fault, whatever is open then: for a build that may never settle. @default false */
  readonly isHasty?: boolean;
}

/**
 * Prepares a run; nothing of the system under test is started yet.
 *
 * @param build whose processes it starts
 */
export async function openRun(
  servers: FaultServers,
  build: Build,
  { lane = 'workflow', isHasty = false }: RunOptions = {},
): Promise<Run> {
  const name = `run_${process.pid}_${(runs += 1)}`;
  const folder = await mkdtemp(join(tmpdir(), 'settle-faults-'));
  const urls = await createRunDatabases(servers, name);
  const databases: Databases = {
    settle: createPool(urls.orders),
    inventory: createPool(urls.inventory),
    accounts: createPool(urls.accounts),
  };
  const ports = await findFreePorts(7);
  const edges = { inventory: await startProxy(ports + 1), accounts: await startProxy(ports + 2) };
  const routes = join(folder, 'routes.json');
  await writeFile(routes, JSON.stringify(routesThrough(edges, ports + 6)));
  const connection = Connection.lazy({ address: servers.temporal.address });
  const env = {
    PORT: `${ports}`,
    DATABASE_URL: urls.orders,
    SETTLE_INVENTORY_DATABASE_URL: urls.inventory,
    SETTLE_ACCOUNTS_DATABASE_URL: urls.accounts,
    SETTLE_PROFILES_DATABASE_URL: urls.profiles,
    TEMPORAL_ADDRESS: servers.temporal.address,
    SETTLE_TASK_QUEUE: name,
    SETTLE_ROUTES: routes,
    SETTLE_LANE: lane,
    SETTLE_DATA_DIR: folder,
    LOG_LEVEL: 'info',
  };
  const apiUrl = `http://127.0.0.1:${ports}`;
  return assemble({ name, folder, databases, edges, env, build, connection, apiUrl, isHasty });
}

interface Prepared {
  readonly name: string;
  readonly folder: string;
  readonly databases: Databases;
  readonly edges: Run['edges'];
  readonly env: Record<string, string>;
  build: Build;
  readonly connection: Connection;
  readonly isHasty: boolean;
  readonly apiUrl: string;
}

function assemble(prepared: Prepared): Run {
  const { name, folder, databases, edges, connection, apiUrl, isHasty } = prepared;
  const supervisor = createSupervisor(folder);
  const client = new Client({ connection });
  const journalFile = join(folder, 'client.jsonl');
  const journal = openJournal(journalFile);
  const watch = watchBooks(databases);
  const loads: RunningLoad[] = [];
  let planned = 0;
  let seed = 0;
  let accepted = 0;
  const start: Run['load'] = (load) => {
    planned += load.orders;
    const onAccepted: Load['onAccepted'] = (sagaId, scenario) => {
      accepted += 1;
      load.onAccepted?.(sagaId, scenario);
    };
    const running = startLoad({ journal, apis: [apiUrl], ...load, onAccepted });
    loads.push(running);
    return running;
  };
  const gather = async (bundle: string): Promise<Evidence> => ({
    client: readJournal(journalFile, planned),
    effects: [
      ...(await collectEffects(databases.settle, 'orders')),
      ...(await collectEffects(databases.inventory, 'inventory')),
      ...(await collectEffects(databases.accounts, 'accounts')),
    ],
    ledger: await collectLedger(databases.settle),
    inbox: [
      ...(await collectInbox(databases.inventory, 'inventory')),
      ...(await collectInbox(databases.accounts, 'accounts')),
    ],
    books: {
      rows: [
        ...(await collectBooks(databases.inventory, 'inventory')),
        ...(await collectBooks(databases.accounts, 'accounts')),
      ],
      live: watch.problems,
      snapshots: watch.snapshots(),
    },
    ...(await collectTemporal(client, name, bundle)),
    faults: supervisor.faults,
  });
  return {
    supervisor,
    databases,
    edges,
    client,
    apiUrl,
    env: prepared.env,
    configure: (settings) => void Object.assign(prepared.env, settings),
    deploy: (build) => void (prepared.build = build),
    start: (role, armed = {}) => supervisor.start(programOf(prepared, role, armed)),
    load: start,
    untilAccepted: (count) =>
      eventually(
        () => {
          if (accepted < count) throw new Error(`${accepted} of ${count} orders accepted`);
        },
        { timeoutMs: 60_000 },
      ),
    order: (scenario) =>
      new Promise((resolve) => {
        start({ seed: (seed += 1), orders: 1, scenarios: [scenario], onAccepted: resolve });
      }),
    cancel: (sagaId) => cancel({ journal, apis: [apiUrl] }, sagaId),
    untilQuiet: async (options) => {
      await Promise.all(loads.map((load) => load.accepted));
      await untilQuiet({ databases, name, client, isHasty }, options);
    },
    verdict: async (expected, bundle = prepared.build.bundle) => {
      await Promise.all(loads.map((load) => load.stop()));
      await watch.stop();
      return check(await gather(bundle), expected);
    },
    countRepeated: async () => {
      const counts = await Promise.all(participantUrls(prepared).map(countRepeated));
      return counts[0]! + counts[1]!;
    },
    close: async () => {
      // what has not come to its verdict would go on asking forever
      await Promise.all([...loads.map((load) => load.abandon()), supervisor.stopAll()]);
      await watch.stop().catch(() => undefined);
      journal.close();
      await Promise.all([edges.inventory.close(), edges.accounts.close(), connection.close()]);
      await Promise.all(Object.values(databases).map((pool: pg.Pool) => pool.end()));
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function programOf({ env, build, apiUrl }: Prepared, role: Role, armed: Arms): Program {
  const isAll = role === 'all';
  const health = [
    ...(isAll || role === 'api' ? [`${apiUrl}/health/live`] : []),
    ...(isAll || role === 'participants' ? participantUrls({ env }).map((url) => `${url}/health/live`) : []),
  ];
  const isArmed = Object.keys(armed).length > 0;
  const roles = isAll ? 'participants,worker,api' : role;
  return {
    name: role,
    command: process.execPath,
    args: isArmed ? ['--import', TYPESCRIPT, ROLE_MAIN, build.dist, roles] : [join(build.dist, 'src', 'main.js'), role],
    env: { ...env, ...armed },
    cwd: ROOT,
    isReady: async () => (await Promise.all(health.map(answers))).every(Boolean),
    // one that is armed may crash before
    readyLine: isArmed ? undefined : '"msg":"ready"',
  };
}

/** The participants' ports: beside the API's, until others have taken their places. */
export const PARTICIPANT_PORTS = {
  inventory: { setting: 'SETTLE_INVENTORY_PORT', offset: 1 },
  accounts: { setting: 'SETTLE_ACCOUNTS_PORT', offset: 2 },
  profiles: { setting: 'SETTLE_PROFILES_PORT', offset: 6 },
} as const;

/** Where a participant of a run listens. */
export function participantUrl({ env }: Pick<Run, 'env'>, name: keyof typeof PARTICIPANT_PORTS): string {
  const { setting, offset } = PARTICIPANT_PORTS[name];
  return `http://127.0.0.1:${env[setting] ?? Number(env['PORT']) + offset}`;
}

function participantUrls(run: Pick<Run, 'env'>): string[] {
  return [participantUrl(run, 'inventory'), participantUrl(run, 'accounts')];
}

async function countRepeated(url: string): Promise<number> {
  const metrics = await (await fetch(`${url}/metrics`)).text();
  const counts = metrics.matchAll(/^settle_inbox_messages_total\{.*outcome="repeated".*\} (\d+)$/gm);
  return [...counts].reduce((total, [, count]) => total + Number(count), 0);
}

async function answers(url: string): Promise<boolean> {
  return fetch(url, { signal: AbortSignal.timeout(5_000) }).then(
    ({ ok }) => ok,
    () => false,
  );
}

function createPool(connectionString: string): pg.Pool {
  const pool = new pg.Pool({ connectionString, max: 3, connectionTimeoutMillis: 15_000, application_name: 'checker' });
  // the server is killed on purpose
  pool.on('error', () => undefined);
  return pool;
}

/** Orders go through the proxies; the profiles service, which they do not need, is reached as it is. */
function routesThrough({ inventory, accounts }: Run['edges'], profilesPort: number): Record<string, { url: string }> {
  const routesTo = (port: number, contracts: object): [string, { url: string }][] =>
    (Object.values(contracts) as { type: string }[]).map(({ type }) => [
      type,
      { url: `http://127.0.0.1:${port}/messages/${type}` },
    ]);
  return Object.fromEntries([
    ...routesTo(inventory.port, messages.inventory),
    ...routesTo(accounts.port, messages.accounts),
    ...routesTo(profilesPort, { ...messages.profiles }),
    ...routesTo(profilesPort, { ...messages.preferences }),
  ]);
}
