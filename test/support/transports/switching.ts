import { eventually } from '../eventually.js';
import type { Guarantee } from './guarantee.js';
import { place } from './orders.js';
import { ROLES } from '../faults/system.js';

/** That a saga names no transport; it leaves the scene on the routes of the samples. */
export function switchingGuarantees(): readonly Guarantee[] {
  return [switching];
}

const switching: Guarantee = {
  says: 'switching a transport is configuration only: what is under way settles over the other one',
  overBrokersOnly: true,
  check: async ({ stand, scene }) => {
    for (const next of ['http', stand.name]) {
      await scene.stop('participants');
      const sagas = await Promise.all([place(scene), place(scene, { customerId: 'c-poor' })]);
      await eventually(async () => {
        const { rows } = await scene.run.databases.settle.query(
          'select from settle.message_log where saga_id = any ($1) and attempts > 0',
          [sagas],
        );
        expect(rows).toHaveLength(2);
      });
      await Promise.all([scene.stop('worker'), scene.stop('api')]);
      scene.run.configure({ SETTLE_ROUTES: '', SETTLE_TRANSPORT: next });
      await Promise.all(ROLES.map((role) => scene.start(role)));
      const views = await Promise.all(sagas.map((saga) => scene.office.settled(saga)));
      expect([next, ...views.map(({ state }) => state)]).toEqual([next, 'completed', 'compensated']);
    }
  },
};
