import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createRocketMq } from '../../brokers/rocketmq.js';
import { startChild } from '../child.js';
import type { Child } from '../child.js';
import type { Progress } from '../temporal-cli.js';
import { fetchJars, whyNoJars } from './jars.js';
import type { Jars } from './jars.js';
import { administerRocketMq } from './rocketmq-admin.js';
import type { RocketMqAdmin } from './rocketmq-admin.js';

export interface RocketMqOptions {
  /** Absolute; where the jars are kept, `Config.cacheDir`. */
  readonly cacheDir: string;
  /** Absolute; everything of the server lives below it: `rocketmq/`, its settings and logs. */
  readonly dataDir: string;
  /** Of the proxy (gRPC); the five after it are taken too. */
  readonly port: number;
  /** Of the JVM that holds proxy and broker, in MB. @default 512 */
  readonly heapMb?: number;
  /**
   * Whether what is confirmed is on disk, and outlives a power cut; else it is in the system's hands, and outlives a killed process.
   *
   * @default true
   */
  readonly isSynchronous?: boolean;
  /** Broker settings over ours, e.g. `{ transactionCheckInterval: '1000' }`. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Told of a download. @default nobody */
  readonly progress?: Progress;
  /** Ends a download that is under way. */
  readonly signal?: AbortSignal;
  /** Told the process ids as soon as there are any, before they answer: of the name server, and of proxy and broker. */
  readonly onSpawn?: (pid: number) => void;
}

/** A RocketMQ: name server, and a proxy with the broker inside. */
export interface RocketMqServer {
  /** Of proxy and broker. */
  readonly pid: number;
  /** `host:port`, as `BrokerUrls` wants it. */
  readonly url: string;
  /** Makes topics and groups, which clients cannot. */
  readonly admin: RocketMqAdmin;
  /** Resolves when it has ended, however that came. */
  readonly exited: Promise<void>;
  /** Lets requests finish, writes everything, ends. */
  stop(): Promise<void>;
  /** SIGKILL. */
  kill(): Promise<void>;
}

const VERSION = '5.3.3';
const ARTIFACTS = ['org.apache.rocketmq:rocketmq-proxy', 'org.apache.rocketmq:rocketmq-namesrv'];
const NAME = 'settle';
const READY_TOPIC = 'settle-ready';
const READY_MS = 180_000;
const STOP_MS = 20_000;
/** What RocketMQ reaches into on Java 17. */
const OPENED = [
  '--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED',
  '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
  '--add-opens=java.base/java.nio=ALL-UNNAMED',
];

/**
 * Says why RocketMQ cannot be run on this machine, and what to do about it.
 *
 * @param cacheDir where the jars are kept, `Config.cacheDir`
 * @returns undefined when it can
 */
export async function whyNoRocketMq(cacheDir: string): Promise<string | undefined> {
  return whyNoJars(jarsIn(cacheDir));
}

/**
 * Starts the RocketMQ of `dataDir`; resolves when it takes messages.
 * RocketMQ has no setting for it: the ports of proxy and replication listen on every address of the machine, so keep it off open networks.
 *
 * @throws Error, one line, when it cannot be had, a port is in use or the server ends; it names the log
 */
export async function startRocketMq(options: RocketMqOptions): Promise<RocketMqServer> {
  const { cacheDir, dataDir, port, progress = () => undefined, signal } = options;
  const problem = await whyNoRocketMq(cacheDir);
  if (problem !== undefined) throw new Error(problem);
  const jars = await fetchJars({ ...jarsIn(cacheDir), progress, signal });
  prepareFolder(options);
  const names = await startJava(options, {
    jars,
    heapMb: 64,
    log: 'rocketmq-names.log',
    main: ['org.apache.rocketmq.namesrv.NamesrvStartup', '-c', join(dataDir, 'rocketmq-names.conf')],
  });
  const files = ['-bc', join(dataDir, 'rocketmq-broker.conf'), '-pc', join(dataDir, 'rocketmq-proxy.json')];
  const child = await startJava(options, {
    jars,
    heapMb: options.heapMb ?? 512,
    log: 'rocketmq.log',
    main: [
      'org.apache.rocketmq.proxy.ProxyStartup',
      '-pm',
      'local',
      '-n',
      `127.0.0.1:${portsOf(port).names}`,
      ...files,
    ],
  });
  // it keeps nothing: one that outlived its broker would only hold the port
  const exited = child.exited.then(() => names.kill());
  const url = `127.0.0.1:${port}`;
  const admin = administerRocketMq(portsOf(port).broker);
  try {
    await waitUntilReady(child, { url, admin, dataDir });
  } catch (cause) {
    await child.kill();
    await exited;
    throw cause;
  }
  return {
    pid: child.pid,
    url,
    admin,
    exited,
    stop: () => child.stop('SIGTERM', STOP_MS).then(() => exited),
    kill: () => child.kill().then(() => exited),
  };
}

function jarsIn(cacheDir: string): Jars {
  return { cacheDir, name: 'rocketmq', version: VERSION, artifacts: ARTIFACTS };
}

interface Ports {
  readonly names: number;
  readonly broker: number;
  readonly replication: number;
  readonly remoting: number;
}

/** A broker's port for its own use is two below the one that is set. */
function portsOf(port: number): Ports {
  return { names: port + 1, broker: port + 4, replication: port + 3, remoting: port + 5 };
}

function prepareFolder({ dataDir, port, isSynchronous = true, settings }: RocketMqOptions): void {
  const store = join(dataDir, 'rocketmq');
  const { names, broker, replication, remoting } = portsOf(port);
  mkdirSync(store, { recursive: true });
  // each start of the proxy leaves certificates there
  rmSync(join(dataDir, 'tmp'), { recursive: true, force: true });
  mkdirSync(join(dataDir, 'tmp'));
  writeFileSync(
    join(dataDir, 'rocketmq-names.conf'),
    propertiesOf({ listenPort: names, bindAddress: '127.0.0.1', kvConfigPath: join(store, 'names.json') }),
  );
  const brokerSettings = {
    brokerClusterName: NAME,
    brokerName: NAME,
    brokerId: 0,
    ...{ brokerIP1: '127.0.0.1', brokerIP2: '127.0.0.1', bindAddress: '127.0.0.1' },
    ...{ listenPort: broker, haListenPort: replication, namesrvAddr: `127.0.0.1:${names}` },
    storePathRootDir: store,
    storePathCommitLog: join(store, 'commitlog'),
    flushDiskType: isSynchronous ? 'SYNC_FLUSH' : 'ASYNC_FLUSH',
    // a message to a topic that nobody declared must be an error, not a new topic that nobody reads
    autoCreateTopicEnable: false,
    autoCreateSubscriptionGroup: false,
    // half messages are checked back for weeks, then put aside: 15 times, its default, pass in an outage
    transactionCheckMax: 50_000,
    mappedFileSizeCommitLog: 64 * 1024 * 1024,
    mappedFileSizeTimerLog: 8 * 1024 * 1024,
    maxIndexNum: 200_000,
    maxHashSlotNum: 50_000,
    ...settings,
  };
  writeFileSync(join(dataDir, 'rocketmq-broker.conf'), propertiesOf(brokerSettings));
  const proxy = {
    ...{ rocketMQClusterName: NAME, proxyClusterName: NAME, proxyName: NAME },
    ...{ namesrvAddr: `127.0.0.1:${names}`, localServeAddr: '127.0.0.1' },
    ...{ grpcServerPort: port, remotingListenPort: remoting },
  };
  writeFileSync(join(dataDir, 'rocketmq-proxy.json'), JSON.stringify(proxy));
}

function propertiesOf(settings: Readonly<Record<string, string | number | boolean>>): string {
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('');
}

interface Program {
  readonly jars: string;
  readonly heapMb: number;
  /** Its file in the data folder. */
  readonly log: string;
  readonly main: readonly string[];
}

async function startJava(options: RocketMqOptions, { jars, heapMb, log, main }: Program): Promise<Child> {
  const { dataDir } = options;
  const machine = [
    ...[`-Xmx${heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-XX:+ExitOnOutOfMemoryError'],
    ...['-XX:MaxDirectMemorySize=256m', ...OPENED],
    // logs and certificates would go to the user's folder and to the system's
    ...['-XX:-UsePerfData', `-Duser.home=${dataDir}`, `-Drocketmq.home.dir=${dataDir}`],
    ...[`-Djava.io.tmpdir=${join(dataDir, 'tmp')}`, '-Djava.awt.headless=true'],
  ];
  const args = [...machine, '-cp', join(jars, '*'), ...main];
  const child = await startChild({ command: 'java', args, logFile: join(dataDir, log), cwd: dataDir });
  options.onSpawn?.(child.pid);
  return child;
}

interface Target {
  readonly url: string;
  readonly admin: RocketMqAdmin;
  readonly dataDir: string;
}

async function waitUntilReady(child: Child, target: Target): Promise<void> {
  const end = Date.now() + READY_MS;
  const logs = `its logs are '${join(target.dataDir, 'rocketmq.log')}' and in '${join(target.dataDir, 'logs')}'`;
  while (!(await isReady(target))) {
    if (!child.isRunning())
      throw new Error(`RocketMQ ended while it started: ${lastLine(await child.readLog())}; ${logs}`);
    if (Date.now() > end) throw new Error(`RocketMQ did not answer within ${READY_MS / 1_000} s; ${logs}`);
    await Promise.race([delay(200), child.exited]);
  }
}

/** It answers before it can store: only a message that it has taken tells. */
async function isReady({ url, admin }: Target): Promise<boolean> {
  const broker = createRocketMq({ url });
  try {
    await admin.createTopic(READY_TOPIC, { queues: 1 });
    const message = { id: 'ready', contentType: 'text/plain', headers: {}, body: Buffer.from('ready') };
    await broker.publish(message, { to: READY_TOPIC, timeoutMs: 3_000 });
    return true;
  } catch {
    // not yet
    return false;
  } finally {
    await broker.close();
  }
}

function lastLine(log: string): string {
  const last = log.trim().split('\n').at(-1) ?? '';
  return last === '' ? 'it gave no reason' : last;
}
