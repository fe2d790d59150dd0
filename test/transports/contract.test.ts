import { SAMPLE_TRANSPORTS } from '../../src/settings.js';
import { assertNone, useFaults } from '../support/faults/fixture.js';
import { ROLES } from '../support/faults/system.js';
import { deliveryGuarantees } from '../support/transports/delivery.js';
import { guaranteesOf, type Site } from '../support/transports/guarantee.js';
import { readNotes, readNotesOverHttp, type NoteReaders } from '../support/transports/notes.js';
import { orderGuarantees } from '../support/transports/order.js';
import { poisonGuarantees } from '../support/transports/poison.js';
import { replyGuarantees } from '../support/transports/replies.js';
import { useStand, type Scene } from '../support/transports/stand.js';
import { stormGuarantees } from '../support/transports/storms.js';
import { switchingGuarantees } from '../support/transports/switching.js';
import { findMissingBrokers } from '../support/transports/test-broker.js';

// Every transport keeps the same promises, on real brokers. In CI each broker must be there; elsewhere one that is missing is passed
// over, with a word on how to get it. `npm run transports` runs all of it in full size.

const missing = await findMissingBrokers();
const transports = SAMPLE_TRANSPORTS.filter((name) => name !== 'all');
const here = transports.filter((name) => name === 'http' || !missing.has(name));

const faults = useFaults();

test('every broker of the contract is here, or said how to get', () => {
  for (const [name, why] of missing) console.warn(`the contract is not looked at over ${name}: ${why}`);
  expect([...missing]).toEqual(process.env['CI'] ? [] : [...missing]);
});

describe.each(here)('over %s', (name) => {
  const stand = useStand(name, faults);

  describe('while nothing breaks', () => {
    const guarantees = [
      ...[deliveryGuarantees(), poisonGuarantees(), orderGuarantees()].flat(),
      ...[replyGuarantees(), switchingGuarantees()].flat(),
    ];
    let scene: Scene;
    let notes: NoteReaders;
    const site = (): Site => ({ stand, scene, notes });

    beforeAll(async () => {
      notes = name === 'http' ? await readNotesOverHttp() : await readNotes(stand.broker, 'notes');
      scene = await stand.open('', { notesUrl: notes.url });
      // the participants come later: the first guarantee is about their absence
      await Promise.all([scene.start('worker'), scene.start('api')]);
    });

    afterAll(async () => {
      for (const role of ROLES.toReversed()) await scene?.stop(role);
      await notes?.stop();
    });

    test.each(guaranteesOf(guarantees, { name }))('$says', ({ check }) => check(site()));
  });

  describe('while everything breaks', () => {
    let scene: Scene;

    beforeAll(async () => {
      scene = await stand.open('-storm');
      await scene.prepare();
      await Promise.all([...ROLES, 'worker' as const].map((role) => scene.start(role)));
    });

    test.each(guaranteesOf(stormGuarantees(), { name }))('$says', ({ check }) => check({ stand, scene }));

    test('promises 1 to 6: after all of it, the checker of the invariants finds nothing', async () => {
      await scene.run.untilQuiet();
      assertNone(await scene.run.verdict({ duplicates: true }));
    });
  });
});
