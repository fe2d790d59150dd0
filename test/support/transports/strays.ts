import { accounts, inventory } from '../../../src/messages/index.js';
import { eventually } from '../eventually.js';
import type { Guarantee } from './guarantee.js';
import { freshSaga, strayOf } from './orders.js';

/** Messages of sagas that nobody has accepted: their answers are unasked, so they come after those who count such answers. */
export function strayGuarantees(): readonly Guarantee[] {
  return [undoFirst, brokenContract];
}

const undoFirst: Guarantee = {
  says: 'promise 5: an undo that comes before its do leaves a tombstone, and the late do is refused',
  check: async ({ scene }) => {
    const saga = freshSaga();
    const payload = { orderId: 'stray', items: [{ sku: 'book', quantity: 1 }] };
    const before = await scene.inbox('inventory');
    const counted = async (outcome: string): Promise<void> =>
      eventually(async () => {
        expect((await scene.inbox('inventory'))[outcome]).toBe((before[outcome] ?? 0) + 1);
      });
    await scene.copier.send(strayOf(inventory.release.type, saga, { action: 'undo', payload }));
    await counted('nothing-to-undo');
    await scene.copier.send(strayOf(inventory.deduct.type, saga, { payload }));
    await counted('tombstone');
    const { rows } = await scene.run.databases.inventory.query(
      `select action, status, (select count(*)::int from inventory.movement m where m.saga_id = i.saga_id) as movements
         from inventory.inbox i where saga_id = $1 order by action`,
      [saga],
    );
    expect(rows).toEqual([
      { action: 'do', status: 'tombstone', movements: 0 },
      { action: 'undo', status: 'applied', movements: 0 },
    ]);
  },
};

const brokenContract: Guarantee = {
  says: 'a payload that breaks its contract is refused for good, and nothing is applied',
  check: async ({ scene }) => {
    const saga = freshSaga();
    await scene.copier.send(strayOf(accounts.debit.type, saga, { payload: { amount: 'much' } }));
    await eventually(async () => {
      const { rows } = await scene.run.databases.accounts.query(
        `select status, reason ->> 'code' as code from accounts.inbox where saga_id = $1`,
        [saga],
      );
      expect(rows).toEqual([{ status: 'rejected', code: 'invalid-payload' }]);
    });
  },
};
