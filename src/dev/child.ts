import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';

/** What to run. */
export interface ChildOptions {
  readonly command: string;
  readonly args: readonly string[];
  /** Absolute; takes everything the child prints, and grows over its starts up to 10 MB. */
  readonly logFile: string;
  /** Absolute; the child must be able to enter it. */
  readonly cwd: string;
  /** Who it runs as. @default this process's user */
  readonly user?: { readonly uid: number; readonly gid: number };
}

/** A server that we started. */
export interface Child {
  readonly pid: number;
  /** Resolves when it has ended, however that came; never rejects. */
  readonly exited: Promise<void>;
  readonly isRunning: () => boolean;
  /** What it printed since it was started. */
  readonly readLog: () => Promise<string>;
  /** Asks with `signal`, and ends it by force where it is still there after `graceMs`. */
  stop(signal: NodeJS.Signals, graceMs: number): Promise<void>;
  /** Ends it and all its children at once, without a chance to clean up. */
  kill(): Promise<void>;
}

const LOG_LIMIT = 10 * 1024 * 1024;

/**
 * Starts a server as the leader of a process group of its own, so that a Ctrl-C in the terminal reaches us alone and the
 * order of stopping is ours.
 *
 * @throws Error when the command cannot be run
 */
export async function startChild({ command, args, logFile, cwd, user }: ChildOptions): Promise<Child> {
  const { log, offset } = openLog(logFile);
  const child = spawn(command, args, { cwd, ...user, detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  await once(child, 'spawn');
  let isRunning = true;
  const exited = once(child, 'exit').then(() => void (isRunning = false));
  // our own end must not wait for it: whoever wants that calls stop
  child.unref();
  const pid = child.pid!;
  return {
    pid,
    exited,
    isRunning: () => isRunning,
    readLog: async () => (await readFile(logFile)).subarray(offset).toString('utf8'),
    stop: async (signal, graceMs) => {
      if (!isRunning) return;
      child.ref();
      child.kill(signal);
      const timer = setTimeout(() => killTree(pid), graceMs);
      await exited;
      clearTimeout(timer);
    },
    kill: async () => {
      if (!isRunning) return;
      child.ref();
      killTree(pid);
      await exited;
    },
  };
}

/** The processes below `pid`, without it; empty where the system has no `/proc`. */
export function descendantsOf(pid: number): number[] {
  const parents = new Map<number, number>();
  for (const name of readProc()) {
    const stat = readText(`/proc/${name}/stat`);
    // the command's name, in brackets, may hold anything, brackets too
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    if (stat !== '') parents.set(Number(name), parent);
  }
  const below = (root: number): number[] =>
    [...parents].filter(([, parent]) => parent === root).flatMap(([child]) => [child, ...below(child)]);
  return below(pid);
}

/** Whether a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Its command line, with spaces between the arguments; empty when it is gone or the system has no `/proc`. */
export function commandLineOf(pid: number): string {
  return readText(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
}

/** Sends SIGKILL to a process and to all below it, the top first so that it starts no others. */
export function killTree(pid: number): void {
  for (const each of [pid, ...descendantsOf(pid)]) {
    try {
      process.kill(each, 'SIGKILL');
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
    }
  }
}

function openLog(file: string): { log: number; offset: number } {
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  const isFull = size > LOG_LIMIT;
  // a full one starts anew, and both cases must append: several processes write to it
  if (isFull) closeSync(openSync(file, 'w', 0o600));
  return { log: openSync(file, 'a', 0o600), offset: isFull ? 0 : size };
}

function isZombie(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
}

function readProc(): string[] {
  try {
    return readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    // no such folder on this system: then only the process itself is known
    return [];
  }
}

function readText(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // it ended between the listing and the reading
    return '';
  }
}
