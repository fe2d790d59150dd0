import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

declare global {
  /** The process that holds the servers of this Jest run. */
  var settleTestServers: ChildProcess | undefined;
}

/**
 * Starts the servers that the tests share, once for all projects of a run, and tells their addresses in the environment.
 * They live in a process of their own that ends with this one, however this one ends: see `servers.ts`.
 */
export default async function startServers(_all: unknown, project: { rootDir: string }): Promise<void> {
  const support = join(project.rootDir, 'test', 'support');
  // a group of its own: Ctrl-C must reach Jest first, which lets the servers go by closing their input
  const child = spawn(process.execPath, ['--import', join(support, 'typescript.js'), join(support, 'servers.ts')], {
    cwd: project.rootDir,
    stdio: ['pipe', 'pipe', 'inherit'],
    detached: true,
  });
  globalThis.settleTestServers = child;
  const addresses = await firstLine(child);
  Object.assign(process.env, JSON.parse(addresses));
}

async function firstLine(child: ChildProcess): Promise<string> {
  for await (const line of createInterface({ input: child.stdout! })) return line;
  throw new Error('the servers for the tests did not start; what they said is above');
}
