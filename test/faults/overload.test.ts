import { setTimeout as pause } from 'node:timers/promises';
import { openOverloadStand, type OverloadStand } from '../support/overload-stand.js';

// `npm run faults` runs it for two minutes each
const SECONDS = Number(process.env['SETTLE_FAULT_OVERLOAD_S'] ?? 15);
const TIMES = 10;
/**
 * What must be kept of the peak, and the longest refusal of a hundred, in ms. The clients run on the same machine and take their share of
 * it; in the first ten seconds the backlog fills as well, so that a short storm says less than a long one.
 */
const LEAST = SECONDS < 60 ? { goodput: 0.25, refusedInMs: 3_000 } : { goodput: 0.5, refusedInMs: 1_000 };
/** As many as settle in some seconds: what they take together says what the machine can do just now. */
const BURSTS = { workflow: 200, express: 2_000 } as const;

/** How many it settles a second once it is warm, of so many that come as they are answered. */
async function findPeak(stand: OverloadStand, count: number): Promise<number> {
  const settle = async (): Promise<number> => {
    const { tookMs, accepted } = await stand.offer({ count });
    expect(accepted).toBe(count);
    return count / ((tookMs + (await timeOf(() => stand.untilSettled()))) / 1_000);
  };
  await settle();
  return settle();
}

/** The most memory that it has while `work` goes on, in MB. */
async function mostMemory<T>(stand: OverloadStand, work: () => Promise<T>): Promise<{ most: number; result: T }> {
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, stand.memoryMb())), 250);
  const result = await work().finally(() => clearInterval(watch));
  return { most, result };
}

test.each(['workflow', 'express'] as const)(
  'at ten times what it can do the %s lane goes on doing it, refuses the rest, and settles all that it has accepted',
  async (lane) => {
    const stand = await openOverloadStand(lane);
    try {
      const peak = await findPeak(stand, BURSTS[lane]);
      const restMb = stand.memoryMb();
      const rate = Math.ceil(TIMES * peak);
      const before = await stand.count();
      const { most: mostMb, result: load } = await mostMemory(stand, () => stand.offer({ seconds: SECONDS, rate }));
      const goodput = ((await stand.count()).settled - before.settled) / (load.tookMs / 1_000);
      const { open } = await stand.count();
      const drainMs = await timeOf(() => stand.untilSettled());
      process.stdout.write(
        `${JSON.stringify({ lane, peak, rate, goodput, open, drainMs, restMb, mostMb, ...load })}\n`,
      );
      expect(goodput).toBeGreaterThan(LEAST.goodput * peak);
      expect(load.refusalMs.p99).toBeLessThan(LEAST.refusedInMs);
      expect(mostMb).toBeLessThan(restMb + 300);
      expect((await stand.count()).settled - before.settled).toBe(load.accepted);
      // whatever is not accepted is told when to come again
      expect(load.accepted + load.refused).toBe(load.offered);
    } finally {
      await stand.stop();
    }
  },
);

test('the express lane gets back to it while the storm lasts, after the ledger has stood still for longer than a lease', async () => {
  const stand = await openOverloadStand('express');
  try {
    const peak = await findPeak(stand, BURSTS.express);
    const before = await stand.count();
    const offered = stand.offer({ seconds: 28, rate: Math.ceil(TIMES * peak) });
    await pause(5_000);
    await stand.holdLedger(3_500);
    await pause(7_000);
    const held = await stand.count();
    await pause(5_000);
    const goodput = ((await stand.count()).settled - held.settled) / 5;
    const load = await offered;
    await stand.untilSettled();
    process.stdout.write(`${JSON.stringify({ peak, goodput, ...load })}\n`);
    expect(goodput).toBeGreaterThan(LEAST.goodput * peak);
    expect((await stand.count()).settled - before.settled).toBe(load.accepted);
    expect(load.accepted + load.refused).toBe(load.offered);
  } finally {
    await stand.stop();
  }
});

async function timeOf(work: () => Promise<void>): Promise<number> {
  const begunAt = performance.now();
  await work();
  return Math.round(performance.now() - begunAt);
}
