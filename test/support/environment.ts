import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TestEnvironment } from 'jest-environment-node';

type Finisher = () => unknown;

declare global {
  /** Runs `work` after the last hook of this test file, the latest first; what it throws fails the file. */
  function onFinish(work: Finisher): void;
}

const PATIENCE_MS = 15_000;

/**
 * The world of one test file: Node, and a guard that fails the file when it leaves child processes behind.
 * Hooks of Jest cannot do that: `afterAll` runs in the order of writing, so a guard would run before what it guards.
 */
export default class GuardedEnvironment extends TestEnvironment {
  private readonly finishers: Finisher[] = [];
  private readonly before = new Set(childProcesses());

  override async setup(): Promise<void> {
    await super.setup();
    this.global.onFinish = (work: Finisher) => void this.finishers.push(work);
  }

  async handleTestEvent(event: { readonly name: string }): Promise<void> {
    if (event.name !== 'run_finish') return;
    const problems: unknown[] = [];
    for (const finish of this.finishers.reverse()) {
      try {
        await finish();
      } catch (problem) {
        problems.push(problem);
      }
    }
    problems.push(...(await this.endLeftovers()));
    if (problems.length > 0) throw problems.length === 1 ? problems[0] : new AggregateError(problems, joined(problems));
  }

  private async endLeftovers(): Promise<Error[]> {
    const left = (): number[] => childProcesses().filter((pid) => !this.before.has(pid));
    const end = Date.now() + PATIENCE_MS;
    while (left().length > 0 && Date.now() < end) await delay(50);
    return left().map((pid) => {
      const command = read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim();
      process.kill(pid, 'SIGKILL');
      return new Error(`process ${pid} was left running, and has been ended: ${command}`);
    });
  }
}

/** The children of this process that run; none where the system has no `/proc`. */
function childProcesses(): number[] {
  return list('/proc').filter((pid) => {
    // the command's name, in brackets, may hold anything, brackets too
    const stat = read(`/proc/${pid}/stat`);
    const [state, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return Number(parent) === process.pid && state !== 'Z';
  });
}

function list(folder: string): number[] {
  try {
    return readdirSync(folder)
      .map(Number)
      .filter((pid) => pid > 0);
  } catch {
    return [];
  }
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // it has ended since it was listed
    return '';
  }
}

function joined(problems: readonly unknown[]): string {
  return problems.map((problem) => (problem instanceof Error ? problem.message : String(problem))).join('\n');
}
