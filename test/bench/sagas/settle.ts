import { fileURLToPath } from 'node:url';
import { Client, Connection, WorkflowNotFoundError } from '@temporalio/client';
import { findFreePorts } from '../../../src/dev/ports.js';
import { idBound } from '../../../src/saga/ids.js';
import { createDatabase, rootsOf, startProgram, withClient, type End, type Running } from './contestant.js';
import type { Servers, Temporal } from './servers.js';
import { runToEnd } from './run-to-end.js';

/** Which Settle to run. */
export interface SettleProgram {
  /** What Node is told to run. @default the build */
  readonly args?: readonly string[];
  /** The command of its main program. @default all */
  readonly command?: string;
}

export interface SettleOptions {
  readonly servers: Servers;
  readonly lane: 'workflow' | 'express';
  /** Names its database and its task queue; each in one run needs its own. @default the lane */
  readonly name?: string;
  /** A database that its ledger is a copy of. @default it is empty */
  readonly template?: string;
  readonly program?: SettleProgram;
}

const MAIN = fileURLToPath(new URL('../../../dist/src/main.js', import.meta.url));

/** Starts Settle with one of its lanes for all sagas, on a ledger of its own. */
export async function startSettle(options: SettleOptions): Promise<Running> {
  const { servers, lane, name = lane, template, program = {} } = options;
  const { args = [MAIN], command = 'all' } = program;
  const temporal = await servers.temporal();
  const databaseUrl = await createDatabase(servers, ledgerOf(name), template);
  const port = await findFreePorts(7);
  const env = {
    ...{ NODE_ENV: 'production', LOG_LEVEL: 'info', PORT: String(port), DATABASE_URL: databaseUrl },
    ...(await idleDatabases(servers)),
    ...{ TEMPORAL_ADDRESS: temporal.address, SETTLE_TASK_QUEUE: `bench-${name}-${port}` },
    ...{ SETTLE_ROUTES: servers.routesFile, SETTLE_LANE: lane },
  };
  await runToEnd(process.execPath, [...args, 'migrate', '--seed'], env);
  const running = await startProgram({ servers, name, args: [...args, command], env, port });
  const { url, kill, restart, stop } = running;
  return {
    ...{ name, url, kill, restart, stop },
    roots: () => rootsOf(servers, running.pid(), temporal),
    walUrls: [databaseUrl, ...(temporal.store ? [temporal.store.url] : [])],
    countOpen: () => countOpen(databaseUrl),
    endsSince: (ms) => readEnds(databaseUrl, ms),
    eventsOf: (sagaId) => countEvents(temporal, sagaId),
  };
}

/** The database of a Settle of that name. */
export function ledgerOf(name: string): string {
  return `settle_${name}`;
}

/** The events of a workflow; 0 where there is none. */
export async function countEvents({ address }: Temporal, workflowId: string): Promise<number> {
  const connection = await Connection.connect({ address });
  try {
    const { historyLength } = await new Client({ connection }).workflow.getHandle(workflowId).describe();
    return historyLength;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return 0;
    throw error;
  } finally {
    await connection.close();
  }
}

/** `all` runs the sample participants too; nobody sends them anything. */
async function idleDatabases({ idle }: Servers): Promise<Readonly<Record<string, string>>> {
  const names = ['inventory', 'accounts', 'profiles'];
  await withClient(idle.url('postgres'), async (client) => {
    for (const name of names)
      await client.query(`create database ${name}`).catch((error: { code?: string }) => {
        // 42P04: it is there already
        if (error.code !== '42P04') throw error;
      });
  });
  return Object.fromEntries(names.map((name) => [`SETTLE_${name.toUpperCase()}_DATABASE_URL`, idle.url(name)]));
}

function countOpen(url: string): Promise<number> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<{ open: string }>(
      'select count(*) as open from settle.saga where finished_at is null',
    );
    return Number(rows[0]!.open);
  });
}

/** By id, as its time is in it, and there is an index. */
function readEnds(url: string, sinceMs: number): Promise<ReadonlyMap<string, End>> {
  return withClient(url, async (client) => {
    const { rows } = await client.query<End & { orderId: string }>(
      `select business_key as "orderId", state, (extract(epoch from finished_at) * 1000)::float8 as "atMs"
         from settle.saga where id >= $1 and finished_at is not null`,
      [idBound('sg', sinceMs)],
    );
    return new Map(rows.map(({ orderId, state, atMs }) => [orderId, { state, atMs }]));
  });
}
