import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { report } from '../temporal-cli.js';
import type { Progress } from '../temporal-cli.js';

/** A server that comes as jars from Maven Central. */
export interface Jars {
  /** Absolute, e.g. `~/.cache/settle`. */
  readonly cacheDir: string;
  /** Of the server, for people and for the folder, e.g. `kafka`. */
  readonly name: string;
  /** Of every artifact that names none. */
  readonly version: string;
  /** `group:artifact` or `group:artifact:version`; what they need comes along. */
  readonly artifacts: readonly string[];
}

export interface FetchOptions extends Jars {
  readonly progress: Progress;
  /** Ends a download that is under way. */
  readonly signal?: AbortSignal;
}

/** The oldest Java that the servers run on. */
const JAVA = 17;
const REMEDY = 'apt-get install openjdk-17-jre-headless maven';

/**
 * Gets a server's jars with Maven where an earlier run has not. Two at once do no harm: each makes its own and the renaming decides.
 *
 * @returns the folder that holds them all, for a class path of `<folder>/*`
 * @throws Error, one line, when there is no Maven or it failed
 */
export async function fetchJars(options: FetchOptions): Promise<string> {
  const { cacheDir, name, version } = options;
  const target = folderOf(options);
  if (existsSync(target)) return target;
  await mkdir(cacheDir, { recursive: true });
  // beside the target, as a rename works within one file system only
  const folder = await mkdtemp(join(cacheDir, 'new-'));
  const done = report(options.progress, `downloading ${name} ${version} with Maven (once, some 100 MB)`);
  try {
    await copyDependencies(folder, options);
    await rename(join(folder, 'jars'), target).catch((cause: NodeJS.ErrnoException) => {
      // another process was quicker
      if (cause.code !== 'ENOTEMPTY' && cause.code !== 'EEXIST') throw cause;
    });
    return target;
  } finally {
    done();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * Says why a server that comes as jars cannot be run on this machine, and what to do about it.
 *
 * @returns undefined when it can
 */
export async function whyNoJars(jars: Jars): Promise<string | undefined> {
  const java = await output('java', ['-version']);
  if (java === undefined) return `${jars.name} needs Java ≥ ${JAVA}, which is not here: ${REMEDY}`;
  const found = Number(/version "(\d+)/.exec(java)?.[1]);
  if (!(found >= JAVA)) return `${jars.name} needs Java ≥ ${JAVA}, and here is ${found}: ${REMEDY}`;
  if (existsSync(folderOf(jars)) || (await output('mvn', ['--version'])) !== undefined) return undefined;
  return `${jars.name} is downloaded with Maven, which is not here: ${REMEDY}`;
}

function folderOf({ cacheDir, name, version }: Jars): string {
  return join(cacheDir, `${name}-${version}`);
}

async function copyDependencies(folder: string, { name, version, artifacts, signal }: FetchOptions): Promise<void> {
  await writeFile(join(folder, 'pom.xml'), pomOf(artifacts, version));
  const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${join(folder, 'jars')}`];
  const child = spawn('mvn', ['--batch-mode', '--quiet', '--no-transfer-progress', ...goal], {
    cwd: folder,
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (log = (log + chunk.toString('utf8')).slice(-20_000)));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(log.split('\n').find((line) => line.includes('ERROR')) ?? `it ended with ${code}`);
  } catch (cause) {
    signal?.throwIfAborted();
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT')
      throw new Error(`${name} is downloaded with Maven, which is not here: ${REMEDY}`, { cause });
    throw new Error(`Maven could not download ${name} ${version}: ${(cause as Error).message}`, { cause });
  }
}

function pomOf(artifacts: readonly string[], version: string): string {
  const dependencies = artifacts.map((each) => {
    const [group, artifact, own = version] = each.split(':');
    return `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${own}</version></dependency>`;
  });
  return [
    '<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>',
    '<groupId>settle</groupId><artifactId>jars</artifactId><version>1</version>',
    `<dependencies>${dependencies.join('')}</dependencies></project>`,
  ].join('\n');
}

/** What a command prints on either stream; undefined where it does not run. */
async function output(command: string, args: readonly string[]): Promise<string | undefined> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (text += chunk.toString('utf8')));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code === 0 ? text : undefined;
  } catch {
    // it is not there
    return undefined;
  }
}
