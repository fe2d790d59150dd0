import { useTown } from '../support/town.js';

const town = useTown('first-orders');

/** An order of one book by a customer who does not exist yet; the welcome credit is 500. */
const firstOrder = (userName: string, unitPrice = 400, sku = 'book'): object => ({
  currency: 'EUR',
  items: [{ sku, quantity: 1, unitPrice }],
  registration: { userName, email: `${userName}@example.org` },
});

/** What is left of an order and of the registration that came with it, in every service. */
async function tracesOf(sagaId: string, child: string): Promise<object> {
  const [shop] = await town.query('producer', 'select status, customer_id from shop.orders where saga_id = $1', [
    sagaId,
  ]);
  const [user] = await town.query('producer', 'select status as user from people.registration where saga_id = $1', [
    child,
  ]);
  const [profiles] = await town.query(
    'profiles',
    `select (select count(*)::int from profiles.profile where saga_id = $1 and status = 'active') as profiles,
            (select count(*)::int from profiles.mail where saga_id = $1) as mails`,
    [child],
  );
  const [money] = await town.query(
    'accounts',
    `select coalesce(sum(amount) filter (where kind = 'customer'), 0)::int as credit
       from accounts.entry join accounts.account on account.id = account_id where saga_id in ($1, $2)`,
    [child, sagaId],
  );
  return { order: shop?.['status'], ...user, ...profiles, ...money };
}

test('a first order registers its customer, whose welcome credit pays for it, and only then the mail is sent', async () => {
  const { status, body } = await town.office.order(firstOrder('ada'), { wait: 20 });
  expect(status).toBe(201);
  const saga = await town.office.settled(body.sagaId);
  const child = saga.steps[0]!.child!;
  expect(saga).toMatchObject({
    state: 'completed',
    parent: null,
    waitingFor: null,
    steps: [
      { name: 'customer', type: 'child', action: 'register-user', status: 'done' },
      { name: 'order', status: 'done' },
      { name: 'stock', status: 'done' },
      { name: 'payment', status: 'done' },
    ],
  });
  expect(await town.office.settled(child)).toMatchObject({
    ...{ type: 'register-user', state: 'completed', parent: { sagaId: saga.sagaId, step: 'customer' } },
  });
  expect(await tracesOf(saga.sagaId, child)).toEqual({
    order: 'placed',
    user: 'registered',
    profiles: 1,
    mails: 1,
    credit: 100,
  });
});
