import { monitorEventLoopDelay } from 'node:perf_hooks';

/** Longer than this process waits for its turn on a machine that goes on, in ms. */
const STALL_MS = 200;

/**
 * Makes a check, and up to twice more while the machine has stalled meanwhile: for what is promised of one that goes on. When it stops
 * for two seconds an answer is late, and its message is rightly sent again. What fails without a stall fails at once.
 *
 * @throws what the last check threw
 */
export async function inOneOfThree<T>(check: () => Promise<T>): Promise<T> {
  for (let time = 1; ; time += 1) {
    const delay = monitorEventLoopDelay({ resolution: 20 });
    delay.enable();
    try {
      return await check();
    } catch (error) {
      const stallMs = Math.round(delay.max / 1e6);
      if (time === 3 || stallMs < STALL_MS) throw error;
      console.warn(`once more, as the machine has stalled for ${stallMs} ms: ${(error as Error).message}`);
    } finally {
      delay.disable();
    }
  }
}
