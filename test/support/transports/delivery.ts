import { eventually } from '../eventually.js';
import { inOneOfThree } from '../one-of-three.js';
import { PATIENCE, type Guarantee } from './guarantee.js';
import { place } from './orders.js';

/** What is delivered, and what comes of it; the first finds no participant running. */
export function deliveryGuarantees(): readonly Guarantee[] {
  return [missingDestination, delivery, refusal];
}

const missingDestination: Guarantee = {
  says: 'a message whose destination is missing is not counted as sent; its saga waits, and settles once it is there',
  check: async ({ scene }) => {
    const saga = await place(scene);
    await eventually(async () => {
      const { state, steps } = await scene.office.saga(saga);
      const stock = steps.find(({ name }) => name === 'stock')!;
      expect([state, stock.status, stock.lastError]).toEqual([
        'running',
        'running',
        expect.stringMatching(/inventory|ECONNREFUSED/),
      ]);
      expect(stock.attempts).toBeGreaterThan(1);
    }, PATIENCE);
    const { rows } = await scene.run.databases.settle.query(
      'select status, awaited_until from settle.message_log where saga_id = $1 and step = $2',
      [saga, 'stock'],
    );
    expect(rows).toEqual([{ status: 'pending', awaited_until: null }]);
    await scene.prepare();
    await scene.start('participants');
    expect(await scene.office.settled(saga)).toMatchObject({ state: 'completed' });
  },
};

const delivery: Guarantee = {
  says: 'orders, payments and registrations settle, with the results of their participants',
  check: async ({ scene }) => {
    const { office } = scene;
    const ordered = inOneOfThree(async () => {
      const saga = await office.settled(await place(scene));
      expect(saga).toMatchObject({
        ...{ state: 'completed', reason: null, waitingFor: null },
        steps: [
          { name: 'order', status: 'done' },
          { name: 'stock', status: 'done', attempts: 1, lastError: null, parkReason: null },
          { name: 'payment', status: 'done', attempts: 1, lastError: null, parkReason: null },
        ],
      });
      return saga;
    });
    const [order, payment, registration] = await Promise.all([
      ordered,
      office.paid({ invoiceId: 'i-1' }),
      office.registered({ userName: 'ada', email: 'ada@example.org' }),
    ]);
    expect(payment).toMatchObject({ state: 'completed', type: 'pay-invoice' });
    expect(registration).toMatchObject({ state: 'completed', type: 'register-user' });
    const { rows } = await scene.run.databases.settle.query(
      `select step, result from settle.message_log where saga_id = $1 order by step`,
      [order.sagaId],
    );
    expect(rows).toEqual([
      { step: 'payment', result: { entryId: `${order.sagaId}/payment/do`, balance: expect.any(Number) } },
      { step: 'stock', result: { reservationId: `${order.sagaId}/stock/do` } },
    ]);
  },
};

const refusal: Guarantee = {
  says: 'what a participant refuses is taken back everywhere, and says why',
  check: async ({ scene }) => {
    const { office } = scene;
    const refused = inOneOfThree(async () => {
      expect(await office.settled(await place(scene, { customerId: 'c-poor' }))).toMatchObject({
        ...{ state: 'compensated', reason: { code: 'insufficient-funds', step: 'payment' } },
        steps: [{ status: 'undone' }, { status: 'undone', undo: { attempts: 1 } }, { status: 'rejected', attempts: 1 }],
      });
    });
    const [, payment, registration] = await Promise.all([
      refused,
      office.paid({ invoiceId: 'i-2', accountId: 'c-closed' }),
      office.registered({ userName: 'grace', email: 'ADA@example.org' }),
    ]);
    expect(payment).toMatchObject({ state: 'compensated', reason: { code: 'account-closed', step: 'reservation' } });
    expect(registration).toMatchObject({ state: 'compensated' });
  },
};
