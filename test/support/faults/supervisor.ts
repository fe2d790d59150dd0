import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, closeSync, fstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Fault } from './evidence.js';

/** How to start one process. */
export interface Program {
  /** Its name in logs and proofs, e.g. `worker-1`. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  readonly uid?: number;
  /** Resolves when it is ready for work. */
  readonly isReady?: () => Promise<boolean>;
  /** What it logs once it is ready, where nothing listens that could be asked. */
  readonly readyLine?: string;
}

/** A process that this supervisor has started. */
export interface Supervised {
  readonly program: Program;
  readonly pid: number;
  /** What it has logged since it was started. */
  output(): string;
  /** Resolves with how it ended. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  isRunning(): boolean;
}

/** Starts, kills, stops and restarts processes: only its own, and only by pid. */
export interface Supervisor {
  /** What was done to them, with proof. */
  readonly faults: readonly Fault[];
  start(program: Program): Promise<Supervised>;
  /** SIGKILL to it and to whatever it has started; resolves when it has ended, with the proof noted. */
  kill(process: Supervised): Promise<void>;
  /** SIGSTOP for a while, then SIGCONT. */
  freeze(process: Supervised, ms: number): Promise<void>;
  /** SIGTERM, and SIGKILL after 30 s. */
  stop(process: Supervised): Promise<void>;
  /** Waits for the end of a process that was armed to kill itself. */
  awaitCrash(process: Supervised, point: string): Promise<void>;
  /** Notes a fault that something else brought about. */
  note(name: string, proof: string | undefined): void;
  /** Ends everything that still runs. */
  stopAll(): Promise<void>;
}

const READY_MS = 180_000;
const STOP_MS = 30_000;
const CRASH_MS = 150_000;

/** @param logDir where the output of each process goes, one file a program */
export function createSupervisor(logDir: string): Supervisor {
  const running = new Set<Supervised>();
  const faults: Fault[] = [];
  const note = (name: string, proof: string | undefined): void => void faults.push({ name, at: Date.now(), proof });
  const stop = async (process: Supervised): Promise<void> => {
    if (!process.isRunning()) return;
    signal(process, 'SIGCONT');
    signal(process, 'SIGTERM');
    const timer = setTimeout(() => signal(process, 'SIGKILL'), STOP_MS);
    await process.ended;
    clearTimeout(timer);
  };
  return {
    faults,
    note,
    stop,
    start: async (program) => {
      const process = launch(program, logDir);
      running.add(process);
      void process.ended.then(() => running.delete(process));
      await untilReady(process, logDir);
      return process;
    },
    kill: async (process) => {
      signal(process, 'SIGKILL');
      const { signal: by } = await process.ended;
      note(`kill ${process.program.name}`, by === 'SIGKILL' ? `exit signal 9 of pid ${process.pid}` : undefined);
    },
    freeze: async (process, ms) => {
      signal(process, 'SIGSTOP');
      await new Promise((resolve) => setTimeout(resolve, ms));
      const isStopped = signal(process, 'SIGCONT');
      note(`freeze ${process.program.name}`, isStopped ? `pid ${process.pid} stopped for ${ms} ms` : undefined);
    },
    awaitCrash: async (process, point) => {
      const timer = setTimeout(() => signal(process, 'SIGTERM'), CRASH_MS);
      const { signal: by } = await process.ended;
      clearTimeout(timer);
      note(`crash ${point}`, by === 'SIGKILL' ? `exit signal 9 of pid ${process.pid}` : undefined);
    },
    stopAll: async () => {
      await Promise.all([...running].map(stop));
    },
  };
}

function launch(program: Program, logDir: string): Supervised {
  const log = join(logDir, `${program.name}.log`);
  const output = openSync(log, 'a');
  const { size: before } = fstatSync(output);
  const child: ChildProcess = spawn(program.command, program.args, {
    env: { PATH: process.env['PATH'], ...program.env },
    cwd: program.cwd,
    stdio: ['ignore', output, output],
    uid: program.uid,
    gid: program.uid,
    // a group of its own, so that a kill reaches what it has started, and nothing else
    detached: true,
  });
  closeSync(output);
  const ended = once(child, 'exit').then(([code, signal]) => ({
    code: code as number | null,
    signal: signal as NodeJS.Signals | null,
  }));
  void ended.then((end) => {
    appendFileSync(log, `--- ended ${JSON.stringify(end)}\n`);
  });
  const logged = (): string => readFileSync(log).subarray(before).toString();
  return {
    program,
    pid: child.pid!,
    output: logged,
    ended,
    isRunning: () => child.exitCode === null && child.signalCode === null,
  };
}

/** Signals the group of a process that we have started and that still runs. */
function signal(process_: Supervised, name: NodeJS.Signals): boolean {
  if (!process_.isRunning()) return false;
  return process.kill(-process_.pid, name);
}

async function untilReady(supervised: Supervised, logDir: string): Promise<void> {
  const { program } = supervised;
  const until = Date.now() + READY_MS;
  const isReady = async (): Promise<boolean> =>
    supervised.output().includes(program.readyLine ?? '') &&
    (program.isReady === undefined || (await program.isReady()));
  while (!(await isReady())) {
    // one that is armed may come to its point before anybody has seen that it was ready
    if (!supervised.isRunning() && program.env['CRASH'] !== undefined) return;
    if (!supervised.isRunning() || Date.now() > until) {
      throw new Error(`'${program.name}' did not become ready; see ${join(logDir, `${program.name}.log`)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
