import { BROKER_NAMES } from '../../../src/brokers/broker.js';
import { assertNone, useFaults } from '../faults/fixture.js';
import { ROLES } from '../faults/system.js';
import { deliveryGuarantees } from './delivery.js';
import { guaranteesOf, type Site } from './guarantee.js';
import { readNotes, readNotesOverHttp, type NoteReaders } from './notes.js';
import { orderGuarantees } from './order.js';
import { poisonGuarantees } from './poison.js';
import { replyGuarantees } from './replies.js';
import type { TransportName } from './routes.js';
import { useStand, type Scene } from './stand.js';
import { stormGuarantees } from './storms.js';
import { strayGuarantees } from './strays.js';
import { switchingGuarantees } from './switching.js';
import { describeWhere } from './where-broker-is.js';

/**
 * Holds a transport to what every transport promises, on real brokers. Each has a file of its own, so that two of them share the machine:
 * they mostly wait. In CI its broker must be there; elsewhere one that is missing is passed over, with a word on how to get it.
 */
export async function describeContract(name: TransportName): Promise<void> {
  const describeHere = await describeWhere(...BROKER_NAMES.filter((broker) => broker === name));
  describeHere(`over ${name}`, () => {
    const faults = useFaults();
    const stand = useStand(name, faults);

    describe('while nothing breaks', () => {
      const guarantees = [
        ...[deliveryGuarantees(), poisonGuarantees(), orderGuarantees()].flat(),
        ...[replyGuarantees(), strayGuarantees(), switchingGuarantees()].flat(),
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
}
