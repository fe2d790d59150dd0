import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Config } from '../../../src/config.js';
import { parseRoutes } from '../../../src/config-routes.js';
import type { Child } from '../../../src/dev/child.js';
import { findFreePorts } from '../../../src/dev/ports.js';
import { startPostgres, type PostgresServer } from '../../../src/dev/postgres.js';
import { findTemporalCli } from '../../../src/dev/temporal-cli.js';
import { startTemporal } from '../../../src/dev/temporal-server.js';
import { contractsOf } from '../../../src/saga/contracts.js';
import { definitions } from '../../../workflows/definitions.js';
import { endWithThisProcess } from '../no-orphans.js';
import { startLoad, type Load } from './load.js';
import { findTemporalPrograms, startProductionTemporal } from './temporal-production.js';

/** Temporal, as the contestants see it. */
export interface Temporal {
  readonly address: string;
  /** For the table: which server it is. */
  readonly description: string;
  /** Absent where it is not ours. */
  readonly pid?: number;
  /** Its database; absent where it is not ours to look into. */
  readonly store?: { readonly pid: number; readonly url: string };
}

/** What all contestants share. */
export interface Servers {
  /** For what is written; goes when all is over. */
  readonly folder: string;
  readonly load: Load;
  /** Whether the participants are the benchmark's own, so that their books can be read. */
  readonly hasOwnParticipants: boolean;
  /** Message type → URL. */
  readonly routes: Readonly<Record<string, string>>;
  readonly routesFile: string;
  /** Of the orders; its process is absent where it is not ours. */
  readonly ledger: { readonly pid?: number; readonly isOwn: boolean; url(database: string): string };
  /** Holds databases that Settle needs and this benchmark does not. */
  readonly idle: { url(database: string): string };
  /** Starts it at the first call. */
  temporal(): Promise<Temporal>;
  /** Told the process of a contestant, which ends with this one; stopping it twice is stopping it once. */
  noteChild(child: Pick<Child, 'pid' | 'kill'>): void;
  stop(): Promise<void>;
}

export interface ServerOptions {
  readonly config: Config;
  /** File of routes that a person gave, and their database. */
  readonly routesFile?: string;
  readonly progress: (line: string) => void;
}

/** Starts what every contestant needs; Temporal follows when it is asked for. */
export async function startServers({ config, routesFile: given, progress }: ServerOptions): Promise<Servers> {
  const folder = mkdtempSync(join(tmpdir(), 'settle-bench-'));
  // PostgreSQL may run as another user, who must be able to enter
  chmodSync(folder, 0o755);
  const stops: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })];
  const stopAll = async (): Promise<void> => {
    for (const each of stops.toReversed()) await each();
  };
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => (stopping ??= stopAll());
  // in order, so that the folder goes as well
  const onSpawn = endWithThisProcess(() => void stop().finally(() => process.exit(130)));
  const noteChild = (child: Pick<Child, 'pid' | 'kill'>): void => {
    onSpawn(child.pid);
    stops.push(() => child.kill());
  };
  try {
    const dataDir = join(folder, 'ledger');
    const postgres = await startPostgres({ dataDir, port: await findFreePorts(), databases: [], onSpawn });
    stops.push(() => postgres.stop());
    const load = await startLoad();
    stops.push(() => load.stop());
    let temporal: Promise<Temporal> | undefined;
    const start = (): Promise<Temporal> => openTemporal({ config, folder, progress, onSpawn, stops });
    return {
      ...{ folder, load, hasOwnParticipants: given === undefined, noteChild, stop },
      ...(given === undefined ? writeRoutes(folder, load.url) : { routes: readRoutes(given), routesFile: given }),
      ledger: ledgerOf(config.databaseUrl, postgres),
      idle: postgres,
      temporal: () => (temporal ??= start()),
    };
  } catch (cause) {
    await stop();
    throw cause;
  }
}

function ledgerOf(given: string | undefined, postgres: PostgresServer): Servers['ledger'] {
  if (given !== undefined) return { isOwn: false, url: () => given };
  return { isOwn: true, pid: postgres.pid, url: postgres.url };
}

/** Every message that Settle's sagas may send has a route, or its worker refuses to start. */
function writeRoutes(folder: string, url: string): Pick<Servers, 'routes' | 'routesFile'> {
  const types = [...contractsOf(definitions).keys()];
  const routes = Object.fromEntries(types.map((type) => [type, `${url}/messages/${type}`]));
  const routesFile = join(folder, 'routes.json');
  const entries = Object.entries(routes).map(([type, to]) => [type, { url: to }]);
  writeFileSync(routesFile, JSON.stringify(Object.fromEntries(entries)));
  return { routes, routesFile };
}

/** @throws Error where the programs that Settle is compared with could not call a participant */
function readRoutes(file: string): Readonly<Record<string, string>> {
  const routes = Object.entries(parseRoutes(readFileSync(file)));
  return Object.fromEntries(
    routes.map(([type, route]) => {
      if (route.transport === 'http') return [type, route.url];
      throw new Error(`the route of '${type}' goes over ${route.transport}; the programs beside Settle call over HTTP`);
    }),
  );
}

interface Opening {
  readonly config: Config;
  readonly folder: string;
  readonly progress: (line: string) => void;
  readonly onSpawn: (pid: number) => void;
  readonly stops: (() => unknown)[];
}

/** A server that is given; else a production server; else, where that cannot be had, the development server. */
async function openTemporal({ config, folder, progress, onSpawn, stops }: Opening): Promise<Temporal> {
  const given = config.temporal.address;
  if (given !== undefined) return { address: given, description: `Temporal at ${given}` };
  const dataDir = join(folder, 'temporal');
  mkdirSync(dataDir, { recursive: true, mode: 0o755 });
  let why: string;
  try {
    const programs = await findTemporalPrograms(config.cacheDir, progress);
    const server = await startProductionTemporal({ programs, dataDir, onSpawn });
    stops.push(() => server.stop());
    const { pid, address, description, postgres } = server;
    return { pid, address, description, store: { pid: postgres.pid, url: postgres.url('temporal') } };
  } catch (cause) {
    why = (cause as Error).message;
    progress(`no production server of Temporal: ${why}`);
  }
  const command = await findTemporalCli({ cacheDir: config.cacheDir, progress });
  const port = await findFreePorts(2);
  const server = await startTemporal({ command, dataDir, port, uiPort: port + 1, onSpawn });
  stops.push(() => server.stop());
  const description = `Temporal development server on SQLite, as there is no production server here (${why})`;
  return { pid: server.pid, address: server.address, description };
}
