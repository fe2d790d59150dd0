import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { descendantsOf } from '../../../src/dev/child.js';

/**
 * Whose CPU and memory are told apart. `app`: the contestant's own process. `ledger`: the PostgreSQL of its orders. `server`: Temporal.
 * `store`: the PostgreSQL of Temporal. `load`: the client and the participants, which count for nobody.
 */
export type Role = 'app' | 'ledger' | 'server' | 'store' | 'load';

/** By role; a role that has no process here, or is not used, is absent. */
export type ByRole = Readonly<Partial<Record<Role, number>>>;

/** The processes to look at, by role: the root of each tree. */
export type Roots = Readonly<Partial<Record<Role, number>>>;

let ticksPerSecond: number | undefined;

/** CPU used so far by each tree, ended children included, in ms; absent where the system does not tell. */
export function cpuOf(roots: Roots): ByRole {
  return mapRoles(roots, (root) => {
    const ticks = [root, ...descendantsOf(root)].map(ticksOf);
    return (ticks.reduce((sum, each) => sum + each, 0) / ticksInSecond()) * 1_000;
  });
}

/** CPU that the whole machine has used so far, in ms; 0 where the system does not tell. */
export function cpuOfMachine(): number {
  const [, ...fields] = read('/proc/stat').split('\n', 1)[0]!.split(/\s+/).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0] = fields;
  return ((user + nice + system + irq + softirq) / ticksInSecond()) * 1_000;
}

/** The memory of each tree, in MB: a page that several processes share counts once. */
export function memoryOf(roots: Roots): ByRole {
  return mapRoles(roots, (root) => {
    const sizes = [root, ...descendantsOf(root)].map(proportionalKb);
    return sizes.reduce((sum, each) => sum + each, 0) / 1_024;
  });
}

/** Samples memory until it is stopped, then tells the highest of each tree, in MB. */
export function watchMemory(roots: () => Roots): () => ByRole {
  const peak: Partial<Record<Role, number>> = {};
  const look = (): void => {
    for (const [role, size] of Object.entries(memoryOf(roots())) as [Role, number][])
      peak[role] = Math.max(peak[role] ?? 0, size);
  };
  look();
  const timer = setInterval(look, 2_000);
  return () => {
    clearInterval(timer);
    look();
    return peak;
  };
}

/** The difference of two readings. */
export function differenceOf(after: ByRole, before: ByRole): ByRole {
  return Object.fromEntries(
    Object.entries(after).map(([role, value]) => [role, value - (before[role as Role] ?? 0)]),
  ) as ByRole;
}

function ticksInSecond(): number {
  return (ticksPerSecond ??= Number(execFileSync('getconf', ['CLK_TCK'], { encoding: 'utf8' })));
}

function mapRoles(roots: Roots, read: (root: number) => number): ByRole {
  const entries = Object.entries(roots).map(([role, root]) => [role, read(root)] as const);
  return Object.fromEntries(entries.filter(([, value]) => value > 0));
}

/** In `utime stime cutime cstime`, the fields 14 to 17 of proc_pid_stat(5). */
function ticksOf(pid: number): number {
  const stat = read(`/proc/${pid}/stat`);
  // the command's name, in brackets, may hold anything
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return stat === '' ? 0 : fields.slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0);
}

function proportionalKb(pid: number): number {
  return Number(/^Pss:\s+(\d+) kB/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
}

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    // it has ended, or there is no such file on this system
    return '';
  }
}
