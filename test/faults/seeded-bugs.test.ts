import type { Violation } from '../support/faults/evidence.js';
import { useFaults } from '../support/faults/fixture.js';
import { ordersOf } from '../support/faults/provocations.js';
import { SEEDED_BUGS, type SeededBug } from '../support/faults/seeded-bugs.js';

const faults = useFaults();

/** They mostly wait, so that two of them share the machine well. */
const AT_ONCE = 2;

let free = AT_ONCE;
const waiting: (() => void)[] = [];
let found: ReadonlyMap<SeededBug, Promise<readonly Violation[]>> | undefined;

/** All of them are begun with the first that is asked for. */
async function violationsOf(bug: SeededBug): Promise<readonly Violation[]> {
  found ??= new Map(SEEDED_BUGS.map((each) => [each, inTurn(() => hunt(each))]));
  return found.get(bug)!;
}

async function hunt({ mutations, provoke }: SeededBug): Promise<readonly Violation[]> {
  return faults.provoke(provoke, await faults.mutate(mutations));
}

async function inTurn<T>(work: () => Promise<T>): Promise<T> {
  if (free === 0) await new Promise<void>((resolve) => waiting.push(resolve));
  else free -= 1;
  try {
    return await work();
  } finally {
    const next = waiting.shift();
    if (next) next();
    else free += 1;
  }
}

test.each(SEEDED_BUGS.map((bug) => [bug.invariant, bug.name, bug] as const))(
  '%s catches that %s',
  async (invariant, _name, bug) => {
    const violations = await violationsOf(bug);
    expect(violations.map((violation) => violation.invariant)).toContain(invariant);
  },
);

test('I29 catches workflow code that no longer does what the histories say', async () => {
  const changed = await faults.mutate([
    {
      file: 'workflows/saga-runner.js',
      find: "await settle(run, 'completed');",
      replace: "await sleep(5); await settle(run, 'completed');",
    },
  ]);
  const violations = await faults.withRun(async (run) => {
    const expected = await ordersOf('completes')(run);
    return run.verdict(expected, changed.bundle);
  });
  expect(violations.map(({ invariant }) => invariant)).toContain('I29');
});
