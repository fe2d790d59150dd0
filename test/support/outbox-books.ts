import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { BatchBooks } from './bare-participant.js';

/** A participant in a process of its own that does nothing but keep books. */
export interface BareParticipant {
  readonly url: string;
  books(): Promise<Readonly<Record<string, BatchBooks>>>;
  /** Begins new books. */
  reset(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it on a free port. */
export async function startBareParticipant(): Promise<BareParticipant> {
  const support = import.meta.dirname;
  const args = ['--import', join(support, 'typescript.js'), join(support, 'bare-participant.ts')];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  let port = '';
  for await (const line of createInterface({ input: child.stdout })) {
    port = line;
    break;
  }
  const url = `http://127.0.0.1:${port}`;
  const ask = async (method: string): Promise<Record<string, BatchBooks>> =>
    (await (await fetch(url, { method })).json()) as Record<string, BatchBooks>;
  return {
    url,
    books: () => ask('GET'),
    reset: async () => void (await ask('DELETE')),
    stop: async () => {
      const ended = once(child, 'exit');
      child.stdin.end();
      await ended;
    },
  };
}
