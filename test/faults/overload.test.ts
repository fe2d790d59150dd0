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
      const settle = async (): Promise<number> => {
        const { tookMs, accepted } = await stand.offer({ count: BURSTS[lane] });
        expect(accepted).toBe(BURSTS[lane]);
        return BURSTS[lane] / ((tookMs + (await timeOf(() => stand.untilSettled()))) / 1_000);
      };
      await settle();
      const peak = await settle();
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

async function timeOf(work: () => Promise<void>): Promise<number> {
  const begunAt = performance.now();
  await work();
  return Math.round(performance.now() - begunAt);
}
