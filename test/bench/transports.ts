import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BROKER_NAMES, type BrokerName } from '../../src/brokers/broker.js';
import { loadConfig } from '../../src/config.js';
import { migrate } from '../../src/db/migrate.js';
import { whyNoBroker } from '../../src/dev/brokers/brokers.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { startPostgres } from '../../src/dev/postgres.js';
import { migrateParticipant } from '../../src/participant/index.js';
import { benchSchema } from './far-notes.js';
import type { BenchOptions, Measure } from './measure.js';
import { endWithThisProcess } from './no-orphans.js';
import { measureTransport } from './transport-measures.js';
import { openLine } from './transport-line.js';

const TRANSPORTS = ['http', ...BROKER_NAMES] as const;

/**
 * Messages of the outbox over each transport, on a real broker and a PostgreSQL that syncs: sent with `settle.send`, delivered by the relay,
 * applied by a participant in a process of its own, its answer recorded. Beside it, in turns, what one writes by hand with the broker's own
 * client library, 64 messages at a time, with the same bodies and the same two processes:
 *
 * - one way: each message confirmed, received and acknowledged; nothing is written to a database and nobody answers
 * - with a row and an answer: the consumer commits one row for each message, then answers over the broker; no outbox, no inbox, no retries
 *
 * | option | meaning |
 * |---|---|
 * | names, e.g. `kafka redis` | only these transports. all whose broker is here |
 * | `--messages` | in each run. 2000 |
 * | `--rounds` | runs of each kind, in turns; the median counts, of ratios as well. 3 |
 * | `--idle` | messages for the latency when idle. 100 |
 * | `--seconds` | of load at half the rate, for the latency under load. 3 |
 */
export async function benchTransports(options: BenchOptions): Promise<readonly Measure[]> {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-bench-'));
  chmodSync(dataDir, 0o755);
  const onSpawn = endWithThisProcess();
  const postgres = await startPostgres({
    dataDir,
    port: await findFreePorts(1),
    databases: ['settle', 'bench'],
    onSpawn,
  });
  const urls = { near: postgres.url('settle'), far: postgres.url('bench') };
  const measures: Measure[] = [];
  const missing: string[] = [];
  try {
    await Promise.all([migrate(urls.near), migrateParticipant(urls.far, benchSchema)]);
    for (const name of chosen(options)) {
      const why = name === 'http' ? undefined : await whyNoBroker(name, loadConfig().cacheDir);
      if (why === undefined) measures.push(...(await benchOne(name, { urls, dataDir, options, onSpawn })));
      else missing.push(`NOT MEASURED: ${why}`);
      if (why !== undefined) options.progress(missing.at(-1)!);
    }
  } finally {
    await postgres.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
  for (const each of missing) options.progress(each);
  return measures;
}

interface Place {
  readonly urls: { readonly near: string; readonly far: string };
  readonly dataDir: string;
  readonly options: BenchOptions;
  readonly onSpawn: (pid: number) => void;
}

async function benchOne(
  name: 'http' | BrokerName,
  { urls, dataDir, options, onSpawn }: Place,
): Promise<readonly Measure[]> {
  options.progress(`${name}: starting`);
  const line = await openLine(name, { urls, dataDir, cacheDir: loadConfig().cacheDir, onSpawn });
  try {
    return await measureTransport(line, options);
  } finally {
    await line.close();
  }
}

function chosen({ words }: BenchOptions): readonly (typeof TRANSPORTS)[number][] {
  const unknown = words.filter((word) => !TRANSPORTS.some((name) => name === word));
  if (unknown.length > 0) throw new Error(`no transport is called '${unknown[0]}'; there are ${TRANSPORTS.join(', ')}`);
  return words.length === 0 ? TRANSPORTS : TRANSPORTS.filter((name) => words.includes(name));
}
