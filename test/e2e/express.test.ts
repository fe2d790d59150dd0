import { eventually } from '../support/eventually.js';
import { inOneOfThree } from '../support/one-of-three.js';
import { useTown } from '../support/town.js';

// The scenarios of the samples on the express lane, each once; that it keeps every promise is the matter of the fault tests.

const town = useTown('express', 'express');

const ORDER = {
  customerId: 'c-1',
  currency: 'EUR',
  items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }],
} as const;

/** Whether the express lane has settled a saga, which never had a workflow then. */
async function isExpress(sagaId: string): Promise<boolean> {
  const rows = await town.query('producer', 'select from settle.saga where id = $1 and leased_until is not null', [
    sagaId,
  ]);
  return rows.length === 1;
}

type Start = (name: string) => Promise<{ body: { sagaId: string } }>;

const START: readonly [string, Start, readonly string[]][] = [
  ['an order', () => town.office.order(ORDER, { wait: 30 }), ['first', 'second', 'third']],
  ['a payment', (invoiceId) => town.office.pay({ invoiceId }, { wait: 30 }), ['i-1', 'i-3', 'i-4']],
  [
    'a registration',
    (userName) => town.office.register({ userName, email: `${userName}@example.org` }, { wait: 30 }),
    ['ada', 'grace', 'joan'],
  ],
];

test.each(START)('%s that everybody can serve completes without a workflow', async (_, start, names) => {
  const left = [...names];
  // where the machine stops for longer than the lease a saga rightly has a workflow
  await inOneOfThree(async () => {
    const { body } = await start(left.shift()!);
    expect(await town.office.settled(body.sagaId)).toMatchObject({ state: 'completed', reason: null });
    expect(await isExpress(body.sagaId)).toBe(true);
  });
});

test.each<[string, () => Promise<{ body: { sagaId: string } }>, string]>([
  ['an order without money', () => town.office.order({ ...ORDER, customerId: 'c-poor' }), 'insufficient-funds'],
  [
    'a payment from a closed account',
    () => town.office.pay({ invoiceId: 'i-2', accountId: 'c-closed' }),
    'account-closed',
  ],
  [
    'an address that is taken',
    () => town.office.register({ userName: 'bob', email: 'ADA@example.org' }),
    'email-taken',
  ],
])('%s is undone by its workflow', async (_, start, code) => {
  const { body } = await start();
  expect(await town.office.settled(body.sagaId)).toMatchObject({ state: 'compensated', reason: { code } });
  expect(await isExpress(body.sagaId)).toBe(false);
});

test('with the participants away sagas wait in their workflows, and go express again when they are back', async () => {
  await town.kill('participants');
  const waiting = await Promise.all(Array.from({ length: 20 }, () => town.office.order(ORDER)));
  await town.start('participants');
  const ends = await Promise.all(waiting.map(({ body }) => town.office.settled(body.sagaId)));
  expect(new Set(ends.map(({ state }) => state))).toEqual(new Set(['completed']));
  await eventually(
    async () => {
      const { body } = await town.office.order(ORDER);
      await town.office.settled(body.sagaId);
      expect(await isExpress(body.sagaId)).toBe(true);
    },
    { timeoutMs: 90_000 },
  );
});

test('promise 1: an API that is killed with sagas under way loses none of them', async () => {
  const accepted = await Promise.all(Array.from({ length: 20 }, () => town.office.order(ORDER)));
  await town.kill('api');
  await town.start('api');
  const ends = await Promise.all(accepted.map(({ body }) => town.office.settled(body.sagaId)));
  expect(new Set(ends.map(({ state }) => state))).toEqual(new Set(['completed']));
});

test('when all is done, stock and money are where they were, less what was sold', async () => {
  expect(await town.query('inventory', 'select sku from inventory.stock where on_hand + sold <> opening')).toEqual([]);
  expect(await town.query('accounts', 'select sum(balance - opening)::int as moved from accounts.account')).toEqual([
    { moved: 0 },
  ]);
  expect(await town.query('producer', `select id from settle.saga where finished_at is null`)).toEqual([]);
});
