import { setTimeout as pause } from 'node:timers/promises';
import { eventually } from '../support/eventually.js';
import { openOverloadStand, type OverloadStand } from '../support/overload-stand.js';

const SECONDS = Number(process.env['SETTLE_FAULT_OVERLOAD_S'] ?? 12);
const TIMES = 10;

/** Sagas that settle a second while `work` goes on. */
async function rateOf<T>(stand: OverloadStand, work: () => Promise<T>): Promise<{ rate: number; result: T }> {
  const before = await stand.count();
  const begunAt = performance.now();
  const result = await work();
  const tookS = (performance.now() - begunAt) / 1_000;
  const { settled } = await stand.count();
  return { rate: (settled - before.settled) / tookS, result };
}

test.each(['workflow', 'express'] as const)(
  'at ten times what it can do the %s lane goes on doing it, and says no at once to the rest',
  async (lane) => {
    const stand = await openOverloadStand(lane);
    try {
      await stand.offer({ seconds: 5, clients: 16 });
      const peak = await rateOf(stand, () => stand.offer({ seconds: Math.max(6, SECONDS / 2), clients: 32 }));
      await eventually(async () => expect((await stand.count()).open).toBe(0), { timeoutMs: 60_000, everyMs: 200 });
      const restMb = stand.memoryMb();
      let mostMb = 0;
      const watch = setInterval(() => (mostMb = Math.max(mostMb, stand.memoryMb())), 500);
      const offered = Math.round(TIMES * peak.rate);
      const over = await rateOf(stand, () => stand.offer({ seconds: SECONDS, rate: offered }));
      clearInterval(watch);
      const { open } = await stand.count();
      const endedAt = performance.now();
      await eventually(async () => expect((await stand.count()).open).toBe(0), { timeoutMs: 280_000, everyMs: 200 });
      const drainS = Math.round((performance.now() - endedAt) / 100) / 10;
      process.stdout.write(
        `${JSON.stringify({ lane, peak: peak.rate, offered, goodput: over.rate, open, drainS, restMb, mostMb, peakLoad: peak.result, load: over.result })}\n`,
      );
      await pause(0);
    } finally {
      await stand.stop();
    }
  },
);
