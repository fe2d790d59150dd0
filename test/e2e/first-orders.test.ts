import { eventually } from '../support/eventually.js';
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

/** What is left when all of it happened. */
const EVERYTHING = { order: 'placed', user: 'registered', profiles: 1, mails: 1, credit: 100 };

test('a first order registers its customer, whose welcome credit pays for it, and only then the mail is sent', async () => {
  const { status, body } = await town.office.order(firstOrder('ada'), { wait: 30 });
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
  expect(await tracesOf(saga.sagaId, child)).toEqual(EVERYTHING);
});

/** What is left when nothing happened. */
const NOTHING = { order: 'cancelled', user: 'removed', profiles: 0, mails: 0, credit: 0 };

test('an order that cannot be paid takes the registration back, and no mail was sent', async () => {
  const { body } = await town.office.order(firstOrder('grace', 501));
  const saga = await town.office.settled(body.sagaId);
  expect(saga).toMatchObject({ state: 'compensated', reason: { code: 'insufficient-funds', step: 'payment' } });
  expect(saga.steps[0]).toMatchObject({ status: 'undone', undo: { attempts: 1 } });
  const child = saga.steps[0]!.child!;
  expect(await town.office.settled(child)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'parent-compensates' } },
  });
  expect(await tracesOf(saga.sagaId, child)).toEqual(NOTHING);
  const again = await town.office.order(firstOrder('grace'));
  expect(await town.office.settled(again.body.sagaId)).toMatchObject({ state: 'completed' });
});

test('a registration that is refused is the reason why the order is', async () => {
  const answer = await town.office.order(firstOrder('ada'), { wait: 30 });
  expect(answer).toMatchObject({ status: 409, body: { reason: { code: 'user-name-taken', step: 'customer' } } });
  const saga = await town.office.settled(answer.body.sagaId);
  expect(saga.steps.map(({ status }) => status)).toEqual(['rejected', 'skipped', 'skipped', 'skipped']);
  expect(await tracesOf(saga.sagaId, saga.steps[0]!.child!)).toMatchObject({ order: undefined, profiles: 0, mails: 0 });
});

test.each([
  ['neither a customer nor a registration', { registration: undefined }, '/customerId'],
  ['both', { customerId: 'c-1' }, '/customerId'],
  ['an approval of the first order', { needsApproval: true }, '/needsApproval'],
  ['a registration without an address', { registration: { userName: 'joan' } }, '/registration/email'],
])('an order with %s is not accepted', async (_name, change, pointer) => {
  const { status, body } = await town.office.order({ ...firstOrder('joan'), ...change });
  expect({ status, body }).toMatchObject({ status: 400, body: { errors: [{ pointer }] } });
});

test('an order that is cancelled while its customer is being registered undoes that too', async () => {
  await town.kill('participants');
  const { body } = await town.office.order(firstOrder('margaret'));
  const saga = await eventually(async () => {
    const found = await town.office.saga(body.sagaId);
    expect(found.waitingFor).toMatchObject({ kind: 'child', step: 'customer', name: found.steps[0]!.child });
    // a child that is cancelled before its local transaction leaves no user to remove
    expect((await town.office.saga(found.steps[0]!.child!)).steps[0]).toMatchObject({ type: 'local', status: 'done' });
    return found;
  });
  expect((await town.office.cancel(body.sagaId)).status).toBe(202);
  await town.start('participants');
  expect(await town.office.settled(body.sagaId)).toMatchObject({ state: 'compensated', reason: { code: 'cancelled' } });
  expect(await tracesOf(saga.sagaId, saga.steps[0]!.child!)).toEqual({ ...NOTHING, order: undefined });
});

test('a registration that is done as a step cannot be cancelled by itself', async () => {
  const { sagaId, child } = await untilHeld('evelyn');
  const refused = await town.office.cancel(child);
  expect(refused).toMatchObject({ status: 409, body: { type: '/problems/saga-held', parent: { sagaId } } });
  expect((await town.office.cancel(sagaId)).status).toBe(202);
  await town.start('participants');
  expect(await town.office.settled(sagaId)).toMatchObject({ state: 'compensated' });
  expect(await town.office.settled(child)).toMatchObject({ state: 'compensated' });
});

test('a worker that is killed while the registration runs, and while it is held, leaves neither half done', async () => {
  const { sagaId, child } = await untilHeld('katherine');
  const other = await town.office.order(firstOrder('dorothy'));
  await eventually(async () => {
    expect((await town.office.saga(other.body.sagaId)).waitingFor).toMatchObject({ kind: 'child' });
  });
  await town.kill('worker');
  await town.start('participants');
  await town.start('worker');
  for (const order of [sagaId, other.body.sagaId]) {
    const saga = await town.office.settled(order);
    expect(saga).toMatchObject({ state: 'completed' });
    expect(await town.office.settled(saga.steps[0]!.child!)).toMatchObject({ state: 'completed' });
    expect(await tracesOf(order, saga.steps[0]!.child!)).toEqual(EVERYTHING);
  }
  expect(child).toBe((await town.office.saga(sagaId)).steps[0]!.child);
});

/** An order whose registration is done and whose stock cannot be reached: the participants are down when this returns. */
async function untilHeld(userName: string): Promise<{ sagaId: string; child: string }> {
  const letGo = await town.hold('inventory', `select 1 from inventory.stock where sku = 'book' for update`);
  const { body } = await town.office.order(firstOrder(userName));
  const child = await eventually(
    async () => {
      const saga = await town.office.saga(body.sagaId);
      expect(saga.steps[2]!.status).toBe('running');
      return saga.steps[0]!.child!;
    },
    { timeoutMs: 90_000 },
  );
  expect(await town.office.saga(child)).toMatchObject({
    ...{ state: 'held', waitingFor: { kind: 'parent', step: 'customer', name: body.sagaId } },
  });
  await town.kill('participants');
  await letGo();
  return { sagaId: body.sagaId, child };
}
