import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { Connection } from '@temporalio/client';
import { msToTs } from '@temporalio/common/lib/time.js';
import { startChild, type Child } from '../../../src/dev/child.js';
import { findFreePorts } from '../../../src/dev/ports.js';
import { startPostgres, type PostgresServer } from '../../../src/dev/postgres.js';
import { report, type Progress } from '../../../src/dev/temporal-cli.js';
import { runToEnd } from './run-to-end.js';

/** The release that is measured. */
export const VERSION = '1.32.1';
/** As in the server's own template for containers. */
const SHARDS = 4;
const READY_MS = 60_000;
const DATABASES = { temporal: 'temporal', visibility: 'temporal_visibility' } as const;

/** The programs of the production server. */
export interface TemporalPrograms {
  readonly server: string;
  /** Writes its tables. */
  readonly sql: string;
}

/**
 * Finds them in the cache, or builds them with Go, which takes some 6 minutes on 2 cores, once.
 *
 * @param cacheDir `Config.cacheDir`
 * @throws Error that says why there are none
 */
export async function findTemporalPrograms(cacheDir: string, progress: Progress): Promise<TemporalPrograms> {
  const folder = join(cacheDir, `temporal-server-${VERSION}`);
  const programs = { server: join(folder, 'server'), sql: join(folder, 'sql') };
  if (existsSync(programs.server) && existsSync(programs.sql)) return programs;
  mkdirSync(folder, { recursive: true });
  const done = report(progress, `building the Temporal server ${VERSION} with Go (once, about 6 minutes on 2 cores)`);
  try {
    // each is put in its place when it is whole
    const modules = ['server', 'tools/sql'].map((name) => `go.temporal.io/server/cmd/${name}@v${VERSION}`);
    await runToEnd('env', [`GOBIN=${folder}`, 'CGO_ENABLED=0', 'go', 'install', '-ldflags=-s -w', ...modules]);
    return programs;
  } finally {
    done();
  }
}

/** A production server with a PostgreSQL of its own. */
export interface ProductionTemporal {
  readonly pid: number;
  readonly address: string;
  readonly description: string;
  readonly postgres: PostgresServer;
  stop(): Promise<void>;
}

export interface ProductionOptions {
  readonly programs: TemporalPrograms;
  /** Absolute; PostgreSQL's user can enter it. */
  readonly dataDir: string;
  readonly onSpawn: (pid: number) => void;
}

/** Starts it, all four services in one process, with the namespace `default`; resolves when workflows can be started. */
export async function startProductionTemporal(options: ProductionOptions): Promise<ProductionTemporal> {
  const { programs, dataDir, onSpawn } = options;
  const databases = Object.values(DATABASES);
  const port = await findFreePorts();
  const postgres = await startPostgres({ dataDir: join(dataDir, 'store'), port, databases, onSpawn });
  try {
    const { username, password } = new URL(postgres.url('postgres'));
    const store = { port: postgres.port, username, password };
    for (const [schema, database] of Object.entries(DATABASES))
      await writeTables(programs, store, { schema, database });
    const ports = await findFreePorts(9);
    const configFile = join(dataDir, 'temporal.yaml');
    // YAML reads JSON
    writeFileSync(configFile, JSON.stringify(configOf(store, ports)), { mode: 0o600 });
    const args = ['--config-file', configFile, '--allow-no-auth', 'start'];
    const logFile = join(dataDir, 'temporal.log');
    const child = await startChild({ command: programs.server, args, logFile, cwd: dataDir });
    onSpawn(child.pid);
    const address = `127.0.0.1:${ports}`;
    await prepareNamespace(child, address);
    return {
      ...{ pid: child.pid, address, postgres },
      description: `Temporal server ${VERSION} on PostgreSQL (postgres12_pgx, ${SHARDS} history shards)`,
      stop: async () => {
        await child.stop('SIGTERM', 10_000);
        await postgres.stop();
      },
    };
  } catch (cause) {
    await postgres.kill();
    throw cause;
  }
}

interface Store {
  readonly port: number;
  readonly username: string;
  readonly password: string;
}

async function writeTables(
  { sql }: TemporalPrograms,
  { port, username, password }: Store,
  { schema, database }: { readonly schema: string; readonly database: string },
): Promise<void> {
  const to = ['--plugin', 'postgres12_pgx', '--endpoint', '127.0.0.1', '--port', String(port), '--database', database];
  const as = ['--user', username, '--password', password];
  await runToEnd(sql, [...to, ...as, 'setup-schema', '--version', '0.0']);
  await runToEnd(sql, [...to, ...as, 'update-schema', '--schema-name', `postgresql/v12/${schema}`]);
}

/** The server's own example for development on PostgreSQL, without archives, metrics and profiles. */
function configOf({ port, username: user, password }: Store, first: number): unknown {
  const sqlOf = (databaseName: string, maxConns: number): unknown => ({
    sql: {
      ...{ pluginName: 'postgres12_pgx', databaseName, connectAddr: `127.0.0.1:${port}`, connectProtocol: 'tcp' },
      ...{ user, password, maxConns, maxIdleConns: maxConns, maxConnLifetime: '1h' },
    },
  });
  const rpc = (grpcPort: number): object => ({ grpcPort, membershipPort: grpcPort + 1, bindOnLocalHost: true });
  return {
    log: { stdout: true, level: 'error' },
    persistence: {
      ...{ defaultStore: 'default', visibilityStore: 'visibility', numHistoryShards: SHARDS },
      datastores: { default: sqlOf(DATABASES.temporal, 20), visibility: sqlOf(DATABASES.visibility, 10) },
    },
    global: { membership: { maxJoinDuration: '30s', broadcastAddress: '127.0.0.1' } },
    services: {
      frontend: { rpc: { ...rpc(first), httpPort: first + 8 } },
      ...{ matching: { rpc: rpc(first + 2) }, history: { rpc: rpc(first + 4) }, worker: { rpc: rpc(first + 6) } },
    },
    clusterMetadata: {
      ...{ enableGlobalNamespace: false, failoverVersionIncrement: 10 },
      ...{ masterClusterName: 'active', currentClusterName: 'active' },
      clusterInformation: {
        active: {
          ...{ enabled: true, initialFailoverVersion: 1, rpcName: 'frontend' },
          rpcAddress: `127.0.0.1:${first}`,
        },
      },
    },
    dcRedirectionPolicy: { policy: 'noop' },
  };
}

async function prepareNamespace(child: Child, address: string): Promise<void> {
  const end = Date.now() + READY_MS;
  const namespace = 'default';
  for (;;) {
    try {
      const connection = await Connection.connect({ address, connectTimeout: 1_000 });
      try {
        const retention = msToTs('1 day');
        await connection.workflowService
          .registerNamespace({ namespace, workflowExecutionRetentionPeriod: retention })
          .catch((error: { code?: number }) => {
            // 6: it is there already
            if (error.code !== 6) throw error;
          });
        // every host caches which namespaces there are
        await connection.workflowService.listOpenWorkflowExecutions({ namespace, maximumPageSize: 1 });
        await connection.operatorService.listSearchAttributes({ namespace });
        return;
      } finally {
        await connection.close();
      }
    } catch (cause) {
      if (!child.isRunning()) throw new Error(`the Temporal server ended: ${(await child.readLog()).slice(-1_000)}`);
      if (Date.now() > end) throw new Error(`the Temporal server did not answer within ${READY_MS} ms`, { cause });
      await Promise.race([pause(200), child.exited]);
    }
  }
}
