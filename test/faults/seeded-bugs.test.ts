import type { Violation } from '../support/faults/evidence.js';
import { useFaults } from '../support/faults/fixture.js';
import { ordersOf } from '../support/faults/provocations.js';
import { ANOTHER_WAY, SEEDED_BUGS, type SeededBug } from '../support/faults/seeded-bugs.js';

type Hunt = Promise<readonly Violation[]>;

const hunts = new Map<SeededBug, Hunt>();

// before the servers go, which useFaults ends in a hook of its own
afterAll(() => Promise.allSettled(hunts.values()));

const faults = useFaults();

/** Each mostly waits, so that two of them share the machine well: the next one is begun together with the one asked for. */
function violationsOf(index: number): Hunt {
  for (const bug of SEEDED_BUGS.slice(index, index + 2)) {
    if (!hunts.has(bug)) hunts.set(bug, hunt(bug, { isHasty: true }));
  }
  return hunts.get(SEEDED_BUGS[index]!)!;
}

function hunt({ mutations, provoke }: SeededBug, { isHasty }: { readonly isHasty: boolean }): Hunt {
  const hunting = faults.mutate(mutations).then((build) => faults.provoke(provoke, { build, isHasty }));
  // a failure is told by the test that asks for it
  hunting.catch(() => undefined);
  return hunting;
}

test.each(SEEDED_BUGS.map(({ invariant, name }, index) => [invariant, name, index] as const))(
  '%s catches that %s',
  async (invariant, _name, index) => {
    const caught = (violations: readonly Violation[]): readonly string[] => violations.map((each) => each.invariant);
    const found = caught(await violationsOf(index));
    // on a slow machine a run may end before the bug has shown: then it is given all the time that a sound build has
    const more = found.includes(invariant) ? [] : caught(await hunt(SEEDED_BUGS[index]!, { isHasty: false }));
    expect([...found, ...more]).toContain(invariant);
  },
);

test('I29 catches workflow code that no longer does what the histories say', async () => {
  const changed = await faults.mutate([ANOTHER_WAY]);
  const violations = await faults.withRun(async (run) => {
    const expected = await ordersOf('completes')(run);
    return run.verdict(expected, changed.bundle);
  });
  expect(violations.map(({ invariant }) => invariant)).toContain('I29');
});
