import { spawn } from 'node:child_process';
import { once } from 'node:events';

/**
 * Runs a command to its end, with this environment and `PATH` and `HOME` alone where one is given.
 *
 * @throws Error with the last of what it printed, when it fails
 */
export async function runToEnd(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<void> {
  const { PATH, HOME } = process.env;
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: env && { PATH, HOME, ...env } });
  let log = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => (log = (log + chunk.toString('utf8')).slice(-2_000)));
  const [code] = (await once(child, 'close')) as [number | null];
  if (code === 0) return;
  const last = log.trim().split('\n').at(-1) ?? '';
  throw new Error(last === '' ? `'${command}' ended with ${code}` : last);
}
