import { eventually } from '../support/eventually.js';
import type { Expectations } from '../support/faults/evidence.js';
import { assertNone, LANES, useFaults } from '../support/faults/fixture.js';
import type { ProxyCounters, ProxyFault } from '../support/faults/proxy.js';
import type { Run } from '../support/faults/run.js';
import { ROLES, startSystem, type System } from '../support/faults/system.js';

const ORDERS = 40;

const NETWORK_FAULTS = [
  [{ kind: 'one-way' }, 'lostAnswers'],
  [{ kind: 'cut', bytes: 50 }, 'cuts'],
  [{ kind: 'reset' }, 'resets'],
  [{ kind: 'latency', ms: 400 }, 'delayed'],
  [{ kind: 'black-hole' }, 'swallowedBytes'],
] as const satisfies readonly (readonly [ProxyFault, keyof ProxyCounters])[];

describe.each(LANES)('on the %s lane', (lane) => {
  const faults = useFaults(lane);

  /** Offers orders, lets `outage` happen among them, and checks what became of all. */
  async function expectSound(outage: (run: Run, system: System) => Promise<Expectations>): Promise<void> {
    await faults.withRun(async (run) => {
      const system = await startSystem(run, faults.servers);
      const load = run.load({ seed: 1, orders: ORDERS, lanes: 3 });
      await run.untilAccepted(ORDERS / 4);
      const expected = await outage(run, system);
      await load.accepted;
      await run.untilQuiet();
      assertNone(await run.verdict(expected));
    });
  }

  test('promise 1: an accepted request survives kill -9 of every process at once and has exactly one outcome', async () => {
    await expectSound(async (_run, system) => {
      await Promise.all([
        ...ROLES.map((role) => system.kill(role)),
        system.killServer('postgres'),
        system.killServer('temporal'),
      ]);
      await Promise.all([faults.servers.postgres.restart(), faults.servers.temporal.restart()]);
      await Promise.all(ROLES.map((role) => system.replace(role)));
      return {};
    });
  });

  test('promise 1: orders are accepted while Temporal is down, and run when it is back', async () => {
    await expectSound(async (run, system) => {
      await system.killServer('temporal');
      await run.load({ seed: 11, orders: 10 }).accepted;
      await faults.servers.temporal.restart();
      return {};
    });
  });

  test('promise 3: PostgreSQL killed in the middle leaves no business row without its messages', async () => {
    await expectSound(async (_run, system) => {
      await system.killServer('postgres');
      await faults.servers.postgres.restart();
      return {};
    });
  });

  test('promise 7: with the store of Temporal lost, every accepted saga is driven again from the ledger', async () => {
    await expectSound(async (run, system) => {
      await system.killServer('temporal');
      await run.load({ seed: 12, orders: 8, scenarios: ['completes', 'no-money', 'cancelled'] }).accepted;
      await faults.servers.temporal.restart({ isEmpty: true });
      return { retainsWorkflows: false };
    });
  });

  test('promise 4: a worker that is stopped in the middle of its steps and goes on later repeats nothing', async () => {
    await expectSound(async (run, system) => {
      const other = run.start('worker');
      // longer than Temporal waits for a workflow task: the other one takes it over
      await run.supervisor.freeze(system.get('worker'), 12_000);
      await other;
      return {};
    });
  });

  test('promise 4: a network that loses answers, cuts, resets, delays and swallows applies no effect twice', async () => {
    await expectSound(async (run) => {
      let seed = 20;
      for (const edge of [run.edges.inventory, run.edges.accounts]) {
        for (const [fault, counter] of NETWORK_FAULTS) {
          const before = edge.counters[counter];
          edge.set(fault);
          await run.load({ seed: (seed += 1), orders: 3, scenarios: ['completes', 'no-money', 'cancelled'] }).accepted;
          await eventually(() => {
            expect(edge.counters[counter]).toBeGreaterThan(before);
          });
          run.supervisor.note(fault.kind, `${edge.counters[counter]} ${counter}`);
        }
        edge.set({ kind: 'pass' });
      }
      await run.untilQuiet();
      const repeated = await run.countRepeated();
      run.supervisor.note('duplicate', repeated > 0 ? `${repeated} refused by the inboxes` : undefined);
      return { duplicates: true };
    });
  });
});
