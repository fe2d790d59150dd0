import { assertNone, LANES, useFaults } from '../support/faults/fixture.js';
import { blow, planStorm } from '../support/faults/storm.js';
import { startSystem } from '../support/faults/system.js';

// `npm run faults` sets these; a seed that failed is run again with SETTLE_FAULT_SEEDS=<seed>.
const { SETTLE_FAULT_SEEDS = '1', SETTLE_FAULT_ORDERS = '60', SETTLE_FAULT_GUSTS = '6' } = process.env;

describe.each(LANES)('on the %s lane', (lane) => {
  const faults = useFaults(lane);

  test.each(seedsIn(SETTLE_FAULT_SEEDS))('promises 1 to 6 hold in the storm of seed %d', async (seed) => {
    const gusts = planStorm(seed, Number(SETTLE_FAULT_GUSTS));
    const violations = await faults.withRun(async (run) => {
      const system = await startSystem(run, faults.servers);
      const load = run.load({ seed, orders: Number(SETTLE_FAULT_ORDERS), lanes: 2, giveUpMs: 240_000 });
      await run.untilAccepted(1);
      await blow({ run, system, servers: faults.servers }, gusts);
      await load.accepted;
      await run.untilQuiet();
      return run.verdict();
    });
    assertNone(violations);
  });
});

/** `3` is one seed, `1-20` are twenty. */
function seedsIn(text: string): number[] {
  const [first = '1', last = first] = text.split('-');
  return Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => Number(first) + index);
}
