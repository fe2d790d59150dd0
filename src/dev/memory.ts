import { readFileSync } from 'node:fs';
import { descendantsOf } from './child.js';

/**
 * The memory of this process and of all below it, in MB: each page that several share counts once (PSS).
 *
 * @returns undefined where the system does not tell
 */
export function memoryOfTree(): number | undefined {
  const sizes = [process.pid, ...descendantsOf(process.pid)].map(proportionalKb);
  if (sizes[0] === undefined) return undefined;
  return Math.round(sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) / 1_024);
}

function proportionalKb(pid: number): number | undefined {
  try {
    return Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1]);
  } catch {
    // it has just ended, it is not ours to look at, or the system has no such file
    return undefined;
  }
}
