import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { commandLineOf, isAlive, killTree } from './child.js';
import { canReach, serverUser } from './postgres-binaries.js';

/** A data folder that this process alone uses. */
export interface DataDir {
  /** Absolute. */
  readonly path: string;
  /** Notes a server that we started, so that the next start can end it should we be killed. */
  readonly noteChild: (pid: number) => void;
  /** Ends the noted servers by force, at once. */
  readonly killChildren: () => void;
  /** Lets others use the folder; the servers must have ended. */
  readonly release: () => void;
}

/** What the lock file says. */
interface Holder {
  readonly pid: number;
  readonly command: string;
  readonly children: readonly number[];
}

const ORPHAN_MS = 10_000;

/**
 * Where the data goes: `wanted`, or, when PostgreSQL's user cannot enter it (we are root and the project lies in `/root`, say),
 * a folder of its own under `/var/lib/settle`.
 */
export function chooseDataDir(wanted: string): string {
  const user = serverUser();
  if (!user || canReach(user, wanted)) return wanted;
  const hash = createHash('sha256').update(wanted).digest('hex').slice(0, 8);
  return join('/var/lib/settle', hash);
}

/**
 * Takes a data folder. Servers that a killed holder left behind are ended first: two on the same files would spoil them.
 *
 * @throws Error, one line, when a running process holds it
 */
export async function takeDataDir(path: string): Promise<DataDir> {
  mkdirSync(path, { recursive: true, mode: 0o755 });
  const file = join(path, 'stack.lock');
  const left = readHolder(file);
  if (left) {
    if (left.pid !== process.pid && isRunning(left)) throw inUse(path, left);
    await endOrphans(left.children, path);
  }
  const children: number[] = [];
  const write = (): void => writeHolder(file, { pid: process.pid, command: commandLineOf(process.pid), children });
  write();
  // of two that found the same dead holder, the later writer wins, and the other sees it here
  await delay(50);
  const holder = readHolder(file);
  if (holder && holder.pid !== process.pid) throw inUse(path, holder);
  return {
    path,
    noteChild: (pid) => {
      children.push(pid);
      write();
    },
    killChildren: () => children.forEach(killTree),
    release: () => rmSync(file, { force: true }),
  };
}

function inUse(path: string, { pid }: Holder): Error {
  return new Error(
    `data folder '${path}' is in use by process ${pid}; stop that one, or set SETTLE_DATA_DIR to another folder`,
  );
}

/** A process id may have gone to another program since: its command line tells. */
function isRunning({ pid, command }: Holder): boolean {
  return isAlive(pid) && commandLineOf(pid) === command;
}

function readHolder(file: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as Holder;
  } catch (cause) {
    // none, or one that a killed process had not finished
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT' || cause instanceof SyntaxError) return undefined;
    throw cause;
  }
}

function writeHolder(file: string, holder: Holder): void {
  const fresh = `${file}.${process.pid}`;
  writeFileSync(fresh, JSON.stringify(holder));
  renameSync(fresh, file);
}

/** Ends servers of this folder that have outlived their parent: gently, then by force. */
async function endOrphans(pids: readonly number[], path: string): Promise<void> {
  // PostgreSQL takes SIGINT for "at once, but cleanly", and Temporal for "stop"
  const orphans = pids.filter((pid) => isAlive(pid) && isOurs(commandLineOf(pid), path));
  orphans.forEach((pid) => process.kill(pid, 'SIGINT'));
  const end = Date.now() + ORPHAN_MS;
  while (orphans.some(isAlive)) {
    if (Date.now() > end) orphans.filter(isAlive).forEach(killTree);
    await delay(50);
  }
}

function isOurs(command: string, path: string): boolean {
  return command.includes(join(path, 'postgres')) || command.includes(join(path, 'temporal.db'));
}
