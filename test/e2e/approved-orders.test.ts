import type { SagaView } from '../../src/api/schemas.js';
import { eventually } from '../support/eventually.js';
import { useTown } from '../support/town.js';

const town = useTown('approved-orders');

const ORDER = { customerId: 'c-1', currency: 'EUR', items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }] };
const place = async (): Promise<string> => (await town.office.order({ ...ORDER, needsApproval: true })).body.sagaId;
const approve = (sagaId: string, account = 'c-2'): ReturnType<typeof town.office.send> =>
  town.office.send(sagaId, 'order-approved', { approvedBy: 'ann', account });

/** Until an order waits for its approval. */
const untilWaiting = (sagaId: string): Promise<SagaView> =>
  eventually(
    async () => {
      const saga = await town.office.saga(sagaId);
      expect(saga.waitingFor).toMatchObject({ kind: 'event', step: 'approval', name: 'order-approved' });
      return saga;
    },
    { timeoutMs: 90_000 },
  );

/** Who paid for an order, and how much. */
const paidBy = (sagaId: string): Promise<object[]> =>
  town.query(
    'accounts',
    `select account_id as account, sum(amount)::int as amount from accounts.entry join accounts.account on account.id = account_id
      where saga_id = $1 and kind = 'customer' group by 1`,
    [sagaId],
  );

test('an order that needs approval waits for it, and the account that it names pays', async () => {
  const sagaId = await place();
  const saga = await untilWaiting(sagaId);
  expect(saga.steps.map(({ status }) => status)).toEqual(['done', 'done', 'waiting', 'pending']);
  expect(await approve(sagaId)).toMatchObject({ status: 202 });
  expect(await town.office.settled(sagaId)).toMatchObject({ state: 'completed', waitingFor: null });
  expect(await paidBy(sagaId)).toEqual([{ account: 'c-2', amount: -1_250 }]);
});

test('an approval that comes before the order waits for it counts, and only the first of two', async () => {
  const { body } = await town.office.order({ ...ORDER, needsApproval: true });
  const answers = await Promise.all([approve(body.sagaId, 'c-3'), approve(body.sagaId, 'c-4')]);
  expect(answers.map(({ status }) => status).sort()).toEqual([202, 409]);
  expect(await town.office.settled(body.sagaId)).toMatchObject({ state: 'completed' });
  const account = answers[0]!.status === 202 ? 'c-3' : 'c-4';
  expect(await paidBy(body.sagaId)).toEqual([{ account, amount: -1_250 }]);
});

test('an approval whose account cannot pay undoes the order', async () => {
  const sagaId = await place();
  await approve(sagaId, 'c-poor');
  expect(await town.office.settled(sagaId)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'insufficient-funds', step: 'payment' } },
  });
  expect(await town.query('producer', 'select status from shop.orders where saga_id = $1', [sagaId])).toEqual([
    { status: 'cancelled' },
  ]);
});

test('an order that is cancelled while it waits is undone, and approved no more', async () => {
  const sagaId = await place();
  await untilWaiting(sagaId);
  expect((await town.office.cancel(sagaId)).status).toBe(202);
  expect((await approve(sagaId)).status).toBe(409);
  const saga = await town.office.settled(sagaId);
  expect(saga).toMatchObject({ state: 'compensated', reason: { code: 'cancelled' } });
  expect(saga.steps.map(({ status }) => status)).toEqual(['undone', 'undone', 'skipped', 'skipped']);
});

test('of orders whose approval and cancel come at the same moment each settles one way, and pays only if it completes', async () => {
  const sagas = await Promise.all(Array.from({ length: 8 }, place));
  await Promise.all(sagas.map(untilWaiting));
  await Promise.all(sagas.flatMap((sagaId) => [approve(sagaId), town.office.cancel(sagaId)]));
  for (const sagaId of sagas) {
    expect(await town.office.settled(sagaId)).toMatchObject({ state: 'compensated', reason: { code: 'cancelled' } });
    const paid = (await paidBy(sagaId)) as { amount: number }[];
    expect(paid.reduce((sum, { amount }) => sum + amount, 0)).toBe(0);
  }
});

test('a worker that is killed while the order waits loses nothing, nor does an approval that comes meanwhile', async () => {
  const [early, late] = [await place(), await place()];
  await Promise.all([early, late].map(untilWaiting));
  await town.kill('worker');
  expect((await approve(early)).status).toBe(202);
  await town.start('worker');
  expect((await approve(late)).status).toBe(202);
  for (const sagaId of [early, late]) {
    expect(await town.office.settled(sagaId)).toMatchObject({ state: 'completed' });
    expect(await paidBy(sagaId)).toEqual([{ account: 'c-2', amount: -1_250 }]);
  }
});
