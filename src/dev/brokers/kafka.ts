import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Connection, metadataV9 } from '@platformatic/kafka';
import { startChild } from '../child.js';
import type { Child } from '../child.js';
import type { Progress } from '../temporal-cli.js';
import { fetchJars, whyNoJars } from './jars.js';
import type { Jars } from './jars.js';

export interface KafkaOptions {
  /** Absolute; where the jars are kept, `Config.cacheDir`. */
  readonly cacheDir: string;
  /** Absolute; everything of the server lives below it: `kafka/`, `kafka.properties`, `kafka.log`. */
  readonly dataDir: string;
  readonly port: number;
  /** Where the server speaks to itself. @default port + 1 */
  readonly controllerPort?: number;
  /** Of the JVM, in MB. @default 512 */
  readonly heapMb?: number;
  /** Broker settings over ours, e.g. `{ 'message.max.bytes': '100000' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told of a download. @default nobody */
  readonly progress?: Progress;
  /** Ends a download that is under way. */
  readonly signal?: AbortSignal;
  /** Told the server's process id as soon as there is one, before it answers. */
  readonly onSpawn?: (pid: number) => void;
}

/** A single Kafka broker that listens on 127.0.0.1. */
export interface KafkaServer {
  readonly pid: number;
  /** `host:port`, as `BrokerUrls` wants it. */
  readonly url: string;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** Lets requests finish, writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const VERSION = '4.1.1';
const ARTIFACTS = ['org.apache.kafka:kafka_2.13', 'org.slf4j:slf4j-simple:1.7.36'];
const NODE_ID = '1';
const READY_MS = 90_000;
const STOP_MS = 20_000;
const FORMAT_MS = 60_000;

/**
 * Says why Kafka cannot be run on this machine, and what to do about it.
 *
 * @param cacheDir where the jars are kept, `Config.cacheDir`
 * @returns undefined when it can
 */
export async function whyNoKafka(cacheDir: string): Promise<string | undefined> {
  return whyNoJars(jarsIn(cacheDir));
}

/**
 * Starts the broker of `dataDir`, which it formats at the first start; resolves when it takes messages.
 * Kafka's durability is replication: a single broker outlives a killed process, not a power cut.
 *
 * @throws Error, one line, when it cannot be had, a port is in use or the server ends; it names the log
 */
export async function startKafka(options: KafkaOptions): Promise<KafkaServer> {
  const { cacheDir, dataDir, port, progress = () => undefined, signal } = options;
  const problem = await whyNoKafka(cacheDir);
  if (problem !== undefined) throw new Error(problem);
  const jars = await fetchJars({ ...jarsIn(cacheDir), progress, signal });
  mkdirSync(join(dataDir, 'tmp'), { recursive: true });
  writeFileSync(propertiesOf(dataDir), settingsOf(options));
  await format(options, jars);
  const child = await startJava(options, ['-cp', join(jars, '*'), 'kafka.Kafka', propertiesOf(dataDir)]);
  options.onSpawn?.(child.pid);
  try {
    await waitUntilReady(child, options);
  } catch (cause) {
    await child.kill();
    throw cause;
  }
  return {
    pid: child.pid,
    url: `127.0.0.1:${port}`,
    exited: child.exited,
    stop: () => child.stop('SIGTERM', STOP_MS),
    kill: () => child.kill(),
  };
}

function jarsIn(cacheDir: string): Jars {
  return { cacheDir, name: 'kafka', version: VERSION, artifacts: ARTIFACTS };
}

function settingsOf({ dataDir, port, controllerPort = port + 1, settings }: KafkaOptions): string {
  const all = {
    'process.roles': 'broker,controller',
    'node.id': NODE_ID,
    'controller.quorum.voters': `${NODE_ID}@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
    'log.dirs': join(dataDir, 'kafka'),
    'num.partitions': '6',
    'default.replication.factor': '1',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'share.coordinator.state.topic.replication.factor': '1',
    'share.coordinator.state.topic.min.isr': '1',
    // fifty, its default, take seconds to make
    'offsets.topic.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    // a message to a topic that nobody declared must be an error, not a new topic that nobody reads
    'auto.create.topics.enable': 'false',
    'log.cleaner.dedupe.buffer.size': '16777216',
    ...settings,
  };
  return Object.entries(all)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

function propertiesOf(dataDir: string): string {
  return join(dataDir, 'kafka.properties');
}

async function format(options: KafkaOptions, jars: string): Promise<void> {
  const { dataDir } = options;
  if (existsSync(join(dataDir, 'kafka', 'meta.properties'))) return;
  const clusterId = randomBytes(16).toString('base64url');
  const tool = ['kafka.tools.StorageTool', 'format', '--ignore-formatted', '--cluster-id', clusterId];
  const child = await startJava(options, ['-cp', join(jars, '*'), ...tool, '--config', propertiesOf(dataDir)]);
  const timer = setTimeout(() => void child.kill(), FORMAT_MS);
  await child.exited;
  clearTimeout(timer);
  if (!existsSync(join(dataDir, 'kafka', 'meta.properties')))
    throw new Error(
      `Kafka could not format '${dataDir}': ${lastLine(await child.readLog())}; its log is '${logOf(dataDir)}'`,
    );
}

async function startJava({ dataDir, heapMb = 512 }: KafkaOptions, args: readonly string[]): Promise<Child> {
  const machine = [
    ...[`-Xmx${heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError'],
    // native libraries and counters would go to the system's folder
    ...['-XX:-UsePerfData', `-Djava.io.tmpdir=${join(dataDir, 'tmp')}`],
    ...['-Djava.awt.headless=true', '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn'],
  ];
  return startChild({ command: 'java', args: [...machine, ...args], logFile: logOf(dataDir), cwd: dataDir });
}

function logOf(dataDir: string): string {
  return join(dataDir, 'kafka.log');
}

async function waitUntilReady(child: Child, options: KafkaOptions): Promise<void> {
  const end = Date.now() + READY_MS;
  while (!(await isReady(options.port))) {
    if (!child.isRunning()) throw new Error(explain(await child.readLog(), options));
    if (Date.now() > end)
      throw new Error(`Kafka did not answer within ${READY_MS / 1_000} s; its log is '${logOf(options.dataDir)}'`);
    await Promise.race([delay(100), child.exited]);
  }
  if (!child.isRunning()) throw new Error(explain(await child.readLog(), options));
}

/** It listens before it has joined its own cluster; only then does it lead partitions. */
async function isReady(port: number): Promise<boolean> {
  const connection = new Connection('settle-dev', { connectTimeout: 1_000, requestTimeout: 2_000 });
  connection.on('error', () => undefined);
  try {
    await connection.connect('127.0.0.1', port);
    const { brokers } = await metadataV9.api.async(connection, []);
    return brokers.length > 0;
  } catch {
    // not yet
    return false;
  } finally {
    await connection.close();
  }
}

function explain(log: string, { port, controllerPort = port + 1, dataDir }: KafkaOptions): string {
  if (/address already in use/i.test(log)) return `port ${port} or ${controllerPort}, for Kafka, is in use`;
  return `Kafka ended while it started: ${lastLine(log)}; its log is '${logOf(dataDir)}'`;
}

/** The last that is no line of a stack trace. */
function lastLine(log: string): string {
  const said = log.split('\n').filter((line) => line.trim() !== '' && !/^\s+(at|\.\.\.) /.test(line));
  return said.at(-1)?.trim() ?? 'it gave no reason';
}
