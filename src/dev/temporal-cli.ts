import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rename, rm } from 'node:fs/promises';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';

/** The release that is fetched where there is none; it carries server 1.29.1, which is for development on loopback only. */
const VERSION = '1.5.1';
const MODULE = `github.com/temporalio/cli/cmd/temporal@v${VERSION}`;
const DOWNLOAD_MS = 90_000;
const CONNECT_MS = 3_000;

/** Told what takes time, in a sentence; called again every few seconds while it goes on. */
export type Progress = (line: string) => void;

export interface CliOptions {
  /** Absolute, e.g. `~/.cache/settle`. */
  readonly cacheDir: string;
  readonly progress: Progress;
  /** Ends a download or a build that is under way. */
  readonly signal?: AbortSignal;
}

/**
 * Finds the Temporal CLI, or gets it: `temporal` on PATH, the copy of an earlier run, the official archive,
 * a build with Go. Two at once do no harm: each makes its own and the renaming decides.
 *
 * @returns the command to run
 * @throws Error that lists the ways to get one, when none worked
 */
export async function findTemporalCli(options: CliOptions): Promise<string> {
  const { cacheDir } = options;
  if (await runs('temporal')) return 'temporal';
  const cached = join(cacheDir, `temporal-${VERSION}`, 'temporal');
  if (existsSync(cached) && (await runs(cached))) return cached;
  await mkdir(cacheDir, { recursive: true });
  const problems: string[] = [];
  for (const [way, get] of Object.entries({ download, 'go install': build })) {
    // beside the target, as a rename works within one file system only
    const folder = await mkdtemp(join(cacheDir, 'new-'));
    try {
      await get(folder, options);
      const made = join(folder, 'temporal');
      if (!(await runs(made))) throw new Error('what it brought does not run');
      await mkdir(join(cacheDir, `temporal-${VERSION}`), { recursive: true });
      await rename(made, cached);
      return cached;
    } catch (cause) {
      options.signal?.throwIfAborted();
      problems.push(`${way}: ${(cause as Error).message}`);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }
  throw new Error(
    `no Temporal server (${problems.join('; ')}); put the Temporal CLI on PATH (https://docs.temporal.io/cli), ` +
      `or install Go ≥ 1.24 and start again, or set TEMPORAL_ADDRESS to a server of yours`,
  );
}

function runs(command: string): Promise<boolean> {
  return answers(command, '--version', 'temporal version');
}

async function answers(command: string, question: string, start: string): Promise<boolean> {
  const child = spawn(command, [question], { stdio: ['ignore', 'pipe', 'ignore'] });
  let output = '';
  child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString('utf8')));
  try {
    const [code] = (await once(child, 'close')) as [number | null];
    return code === 0 && output.startsWith(start);
  } catch {
    // it is not there, or not for this machine
    return false;
  }
}

async function download(folder: string, { progress, signal }: CliOptions): Promise<void> {
  const system = { linux: 'linux', darwin: 'darwin' }[platform() as string];
  const machine = { x64: 'amd64', arm64: 'arm64' }[arch() as string];
  if (!system || !machine) throw new Error(`there is none for ${platform()} on ${arch()}`);
  const url = `https://temporal.download/cli/archive/v${VERSION}?platform=${system}&arch=${machine}`;
  const archive = await open(url, signal);
  const done = report(progress, 'downloading the Temporal CLI (once, some 50 MB)');
  try {
    const tar = spawn('tar', ['-xz', '-C', folder, 'temporal'], { stdio: ['pipe', 'ignore', 'ignore'] });
    const closed = once(tar, 'close') as Promise<[number | null]>;
    await Promise.all([pipeline(Readable.fromWeb(archive), tar.stdin), closed]);
    if ((await closed)[0] !== 0) throw new Error('its archive could not be unpacked');
    await chmod(join(folder, 'temporal'), 0o755);
  } finally {
    done();
  }
}

/** Offline or behind a wall, the answer must come soon: there is another way. */
async function open(url: string, stop: AbortSignal | undefined): Promise<ReadableStream> {
  const connecting = new AbortController();
  const timer = setTimeout(() => connecting.abort(new Error('no answer')), CONNECT_MS);
  try {
    const signal = AbortSignal.any([connecting.signal, AbortSignal.timeout(DOWNLOAD_MS), ...(stop ? [stop] : [])]);
    const { ok, status, body } = await fetch(url, { signal });
    if (!ok || !body) throw new Error(`temporal.download answered ${status}`);
    return body;
  } catch (cause) {
    const { message, cause: reason } = cause as Error;
    throw new Error(reason instanceof Error ? reason.message : message, { cause });
  } finally {
    clearTimeout(timer);
  }
}

async function build(folder: string, { progress, signal }: CliOptions): Promise<void> {
  if (!(await answers('go', 'version', 'go version'))) throw new Error('there is no Go');
  const done = report(progress, 'building the Temporal CLI with Go (once, 4 to 8 minutes on 2 cores)');
  try {
    const child = spawn('env', [`GOBIN=${folder}`, 'CGO_ENABLED=0', 'go', 'install', '-ldflags=-s -w', MODULE], {
      stdio: ['ignore', 'ignore', 'pipe'],
      signal,
    });
    let log = '';
    child.stderr.on('data', (chunk: Buffer) => (log = (log + chunk.toString('utf8')).slice(-2_000)));
    const [code] = (await once(child, 'close')) as [number | null];
    if (code !== 0) throw new Error(log.trim().split('\n').at(-1) ?? `it ended with ${code}`);
  } finally {
    done();
  }
}

/** Says that something goes on, now and every 15 s, until the returned function is called. */
export function report(progress: Progress, what: string): () => void {
  const since = Date.now();
  progress(`${what} …`);
  const timer = setInterval(() => progress(`${what} … ${Math.round((Date.now() - since) / 1_000)} s`), 15_000);
  return () => clearInterval(timer);
}
