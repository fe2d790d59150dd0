import { assertNone, useFaults } from '../support/faults/fixture.js';
import {
  cancelAfterCrash,
  cancelWithLostAnswer,
  deliverLate,
  dieBeforeStart,
  ordersOf,
  refuseUndo,
  repeatDeliveries,
  undoSlowly,
  wakeUpLate,
  type Provocation,
} from '../support/faults/provocations.js';

// The same provocations catch the seeded bugs of seeded-bugs.test.ts: here the build is sound, and nothing may be found.

const faults = useFaults();

test.each<[string, Provocation]>([
  [
    'promises 1 to 4: orders of every kind settle, once, with the books balanced',
    ordersOf('completes', 'no-money', 'out-of-stock', 'unknown-customer', 'cancelled', 'duplicate', 'other-body'),
  ],
  ['promise 1: an order that was accepted and not started when kill -9 hit is started', dieBeforeStart],
  ['promise 4: a message whose answer is lost is delivered again and applied once', repeatDeliveries],
  ['promise 5: a do that arrives after its undo is refused', deliverLate],
  ['promise 6: a step whose answer was lost is undone', cancelWithLostAnswer],
  ['promise 6: what a dead worker has done and not reported is undone too', cancelAfterCrash],
  ['promise 6: an undo that fails for good parks the saga, and an operator can let it go on', refuseUndo],
  ['promise 6: no step is undone before the one after it, however slow', undoSlowly],
  ['promise 6: an attempt that wakes up after the compensation does nothing', wakeUpLate],
])('%s', async (_promise, provocation) => {
  assertNone(await faults.provoke(provocation));
});
