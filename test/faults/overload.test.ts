import { openOverloadStand, type OverloadStand } from '../support/overload-stand.js';

// `npm run faults` runs it for two minutes each
const SECONDS = Number(process.env['SETTLE_FAULT_OVERLOAD_S'] ?? 15);
const TIMES = 10;
/** As many as settle in some seconds: what they take together says what the machine can do just now. */
const BURST = 200;

/** Sagas that settle a second until `work` has ended. */
async function rateOf(stand: OverloadStand, work: () => Promise<unknown>): Promise<number> {
  const before = await stand.count();
  const begunAt = performance.now();
  await work();
  return ((await stand.count()).settled - before.settled) / ((performance.now() - begunAt) / 1_000);
}

/** The most memory that it has while `work` goes on, in MB. */
async function mostMemory(stand: OverloadStand, work: () => Promise<void>): Promise<number> {
  let most = 0;
  const watch = setInterval(() => (most = Math.max(most, stand.memoryMb())), 250);
  await work().finally(() => clearInterval(watch));
  return most;
}

test.each(['workflow', 'express'] as const)(
  'at ten times what it can do the %s lane goes on doing it, refuses the rest, and settles all that it has accepted',
  async (lane) => {
    const stand = await openOverloadStand(lane);
    try {
      const settle = async (): Promise<void> => {
        await stand.offer({ count: BURST });
        await stand.untilSettled();
      };
      await settle();
      const peak = await rateOf(stand, settle);
      const restMb = stand.memoryMb();
      const rate = Math.ceil(TIMES * peak);
      let goodput = 0;
      let load: Awaited<ReturnType<OverloadStand['offer']>> | undefined;
      const mostMb = await mostMemory(stand, async () => {
        goodput = await rateOf(stand, async () => (load = await stand.offer({ seconds: SECONDS, rate })));
      });
      const { open } = await stand.count();
      const drainMs = await timeOf(() => stand.untilSettled());
      process.stdout.write(
        `${JSON.stringify({ lane, peak, rate, goodput, open, drainMs, restMb, mostMb, ...load })}\n`,
      );
      // how much of the peak it is, the line above says: the clients, and what others do on the machine, take their share of it
      expect(goodput).toBeGreaterThan(0);
      expect(mostMb).toBeLessThan(restMb + 300);
      // whatever is not accepted is told when to come again
      expect(load!.accepted + load!.refused).toBe(load!.offered);
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
