import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const MAIN = fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

/** What to run, and how to know that it runs. */
export interface MainOptions {
  /** The arguments of `main.js`, e.g. `['api']`. */
  readonly args: readonly string[];
  /** The whole environment but `PATH` and `HOME`, so that a test does not depend on who runs it. */
  readonly env: Readonly<Record<string, string>>;
  /** What it prints once it is ready. @default the `ready` of its log, or of `npm start` */
  readonly ready?: RegExp;
  /** @default 90000 */
  readonly timeoutMs?: number;
  /** @default this checkout */
  readonly cwd?: string;
}

/** A process of ours that runs; it ends with its test file at the latest. */
export interface MainProcess {
  readonly pid: number;
  /** All that it has printed. */
  output(): string;
  isRunning(): boolean;
  /** Sends a signal to this process alone and waits until it has ended. */
  kill(signal?: NodeJS.Signals): Promise<Exit>;
  /** How it ended, once it has. */
  readonly exited: Promise<Exit>;
}

/** Exactly one of the two is set. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs the built `main.js` and waits until it says that it is ready.
 *
 * @throws Error with what it printed, when it ends before it is ready or takes too long
 * @example const api = await startMain({ args: ['api'], env: { PORT: '3100', … } });
 */
export async function startMain(options: MainOptions): Promise<MainProcess> {
  const { ready = /"msg":"ready"|is ready/, timeoutMs = 90_000 } = options;
  const main = spawnMain(options);
  const end = Date.now() + timeoutMs;
  while (!ready.test(main.output())) {
    if (!main.isRunning()) throw new Error(`${nameOf(options)} ended before it was ready:\n${main.output()}`);
    if (Date.now() > end) {
      await main.kill('SIGKILL');
      throw new Error(`${nameOf(options)} was not ready within ${timeoutMs} ms:\n${main.output()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return main;
}

/** Runs the built `main.js` to its end, e.g. to see what it says of a wrong setting. */
export async function runMain(options: MainOptions): Promise<Exit & { readonly output: string }> {
  const main = spawnMain(options);
  const { timeoutMs = 90_000 } = options;
  const timer = setTimeout(() => void main.kill('SIGKILL'), timeoutMs);
  const exit = await main.exited;
  clearTimeout(timer);
  return { ...exit, output: main.output() };
}

function spawnMain({ args, env, cwd = ROOT }: MainOptions): MainProcess {
  if (!existsSync(MAIN)) throw new Error('there is no build to run; run: npm run build');
  const { PATH = '', HOME = '' } = process.env;
  const child = spawn(process.execPath, ['--enable-source-maps', MAIN, ...args], {
    cwd,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const keep = (chunk: string): void => void (output += chunk);
  child.stdout.setEncoding('utf8').on('data', keep);
  child.stderr.setEncoding('utf8').on('data', keep);
  // 'close' comes after the last of the output, 'exit' may not
  const exited = new Promise<Exit>((resolve, reject) => {
    child.once('error', reject).once('close', (code, signal) => resolve({ code, signal }));
  });
  exited.catch(() => undefined);
  const isRunning = (): boolean => child.exitCode === null && child.signalCode === null;
  const kill = (signal: NodeJS.Signals = 'SIGTERM'): Promise<Exit> => {
    if (isRunning()) child.kill(signal);
    return exited;
  };
  onFinish(() => kill('SIGKILL'));
  return { pid: child.pid!, output: () => output, isRunning, kill, exited };
}

function nameOf({ args }: MainOptions): string {
  return `main.js ${args.join(' ')}`;
}

/** The memory of a process that runs, in MB. */
export function memoryMb(pid: number): number {
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))![1]) / 1_024);
}
