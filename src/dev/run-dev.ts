import { aborted } from '../aborted.js';
import { setTimeout as delay } from 'node:timers/promises';
import type { Config } from '../config.js';
import { installRuntime } from '../worker.js';
import { guideOf } from './guide.js';
import { memoryOfTree } from './memory.js';
import { startStack } from './stack.js';
import type { StopSignals } from './stack.js';

export interface DevOptions {
  readonly config: Config;
  /** Prints how long the start took, and the memory of everything at rest. */
  readonly isVerbose: boolean;
  readonly print: (line: string) => void;
  readonly signals: StopSignals;
}

const REST_MS = 3_000;

/**
 * `npm start`: runs the stack until it is told to stop.
 *
 * @throws Error, one line, when it cannot start or a part of it ends by itself; then nothing is left running
 */
export async function runDev({ config, isVerbose, print, signals }: DevOptions): Promise<void> {
  const { stop } = signals;
  const stack = await startStack({ config, progress: print, signals, onLog: installRuntime });
  try {
    print(`\nSettle is ready.\n\n${guideOf(stack)}`);
    if (isVerbose) {
      print(`ready in ${process.uptime().toFixed(1)} s`);
      void reportMemory(print, stop);
    }
    print('Ctrl-C stops everything; the next start finds all data again.');
    await Promise.race([aborted(stop), stack.failed]);
  } finally {
    if (stop.aborted) print('\nstopping …');
    await stack.stop();
  }
}

async function reportMemory(print: (line: string) => void, signal: AbortSignal): Promise<void> {
  try {
    await delay(REST_MS, undefined, { signal });
  } catch {
    // stopped before it came to rest
    return;
  }
  const memory = memoryOfTree();
  if (memory !== undefined) print(`idle memory of the whole stack: ${memory} MB`);
}
