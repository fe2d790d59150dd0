import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { entriesOf as entriesIn, PAID } from '../support/town-books.js';
import { useTown } from '../support/town.js';

const town = useTown('payments');

const entriesOf = (sagaId: string): Promise<object[]> => entriesIn(town, sagaId);
const invoiceOf = async (id: string): Promise<unknown> =>
  (await town.query<{ status: string }>('producer', 'select status from billing.invoice where id = $1', [id]))[0]
    ?.status;

test('a payment takes the money from the account to the merchant, and the invoice is paid', async () => {
  const { status, headers, body } = await town.office.pay({ invoiceId: 'i-1' });
  expect([status, headers.get('location')]).toEqual([202, `/v1/sagas/${body.sagaId}`]);
  expect(await town.office.settled(body.sagaId)).toMatchObject({
    state: 'completed',
    steps: [
      { name: 'payment', kind: 'compensatable', status: 'done' },
      { name: 'reservation', kind: 'compensatable', status: 'done' },
      { name: 'capture', kind: 'pivot', status: 'done' },
      { name: 'invoice', kind: 'retriable', status: 'done' },
    ],
  });
  expect((await town.office.get(`/v1/payments/${body.paymentId}`)).body).toMatchObject({
    ...{ status: 'paid', sagaState: 'completed', invoiceId: 'i-1', amount: 5_000 },
  });
  expect(await invoiceOf('i-1')).toBe('paid');
  expect(await entriesOf(body.sagaId)).toEqual(PAID);
});

test.each([
  ['an unknown account', 'nobody', 'unknown-account'],
  ['a closed account', 'c-closed', 'account-closed'],
  ['an account without money', 'c-poor', 'insufficient-funds'],
])('a payment from %s is refused and undone, and its invoice can be paid again', async (_, accountId, code) => {
  const { body } = await town.office.pay({ invoiceId: 'i-2', accountId });
  expect(await town.office.settled(body.sagaId)).toMatchObject({
    state: 'compensated',
    reason: { code, step: 'reservation' },
    steps: [{ status: 'undone' }, { status: 'rejected' }, { status: 'skipped' }, { status: 'skipped' }],
  });
  expect((await town.office.get(`/v1/payments/${body.paymentId}`)).body).toMatchObject({
    ...{ status: 'refunded', sagaState: 'compensated', reason: { code } },
  });
  expect(await entriesOf(body.sagaId)).toEqual([]);
  expect(await invoiceOf('i-2')).toBe('open');
});

test('an invoice whose payments were refused is paid by the next that can be made', async () => {
  expect(await town.office.paid({ invoiceId: 'i-2' })).toMatchObject({ state: 'completed' });
});

test.each([
  ['an unknown invoice', { invoiceId: 'none' }, 'unknown-invoice'],
  ['another amount', { invoiceId: 'i-3', amount: 4_999 }, 'amount-mismatch'],
  ['another currency', { invoiceId: 'i-3', currency: 'USD' }, 'currency-mismatch'],
  ['an invoice that is paid', { invoiceId: 'i-1' }, 'invoice-taken'],
])('a client that waits learns at once that %s is refused', async (_, change, code) => {
  const answer = await town.office.pay(change, { wait: 30 });
  expect(answer).toMatchObject({ status: 409, body: { type: '/problems/payment-rejected', reason: { code } } });
  expect(await town.office.settled(answer.body.sagaId)).toMatchObject({ state: 'compensated', reason: { code } });
  expect((await town.office.get(`/v1/payments/${answer.body.paymentId}`)).body).toMatchObject({ status: 'rejected' });
});

test('a client that waits has the payment itself, the same one however often it asks', async () => {
  const key = randomUUID();
  const opened = await town.office.pay({ invoiceId: 'i-4' }, { key, wait: 30 });
  expect(opened).toMatchObject({ status: 201, body: { status: 'opened', invoiceId: 'i-4' } });
  expect(opened.headers.get('location')).toBe(`/v1/payments/${opened.body.paymentId}`);
  await town.office.settled(opened.body.sagaId);
  const again = await town.office.pay({ invoiceId: 'i-4' }, { key, wait: 30 });
  expect([again.status, again.body, again.headers.get('idempotent-replayed')]).toEqual([201, opened.body, 'true']);
});

test('the same key pays once, and with another body it is refused', async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 20 }, () => town.office.pay({ invoiceId: 'i-5' }, { key })));
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  expect((await town.office.pay({ invoiceId: 'i-6' }, { key })).status).toBe(422);
  const { sagaId } = answers[0]!.body;
  expect(await town.office.settled(sagaId)).toMatchObject({ state: 'completed' });
  expect(
    await town.query('producer', `select status from billing.payment where invoice_id = any($1)`, [['i-5', 'i-6']]),
  ).toEqual([{ status: 'paid' }]);
});

test('of ten who pay the same invoice at the same moment one does', async () => {
  const sagas = await Promise.all(
    Array.from({ length: 10 }, (_, n) => town.office.paid({ invoiceId: 'i-7', accountId: `c-${n + 1}` })),
  );
  const states = sagas.map(({ state, reason }) => reason?.code ?? state);
  expect(states.sort()).toEqual(['completed', ...Array.from({ length: 9 }, () => 'invoice-taken')]);
});

test('while the accounts service is away a payment waits, and a cancel undoes it', async () => {
  await town.kill('participants');
  const [waiting, cancelled] = await Promise.all([
    town.office.pay({ invoiceId: 'i-8' }),
    town.office.pay({ invoiceId: 'i-9' }),
  ]);
  for (const { body } of [waiting, cancelled]) {
    await eventually(async () => {
      expect((await town.office.saga(body.sagaId)).steps[1]!.attempts).toBeGreaterThan(2);
    });
  }
  expect((await town.office.cancel(cancelled.body.sagaId)).status).toBe(202);
  await town.start('participants');
  expect(await town.office.settled(waiting.body.sagaId)).toMatchObject({ state: 'completed' });
  expect(await town.office.settled(cancelled.body.sagaId)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'cancelled' } },
  });
  expect([await invoiceOf('i-8'), await invoiceOf('i-9')]).toEqual(['paid', 'open']);
});

test('a worker that is killed with payments under way loses none of them', async () => {
  const payments = await Promise.all(
    Array.from({ length: 20 }, (_, n) => town.office.pay({ invoiceId: `i-${100 + n}` })),
  );
  await town.kill('worker');
  await town.start('worker');
  const ends = await Promise.all(payments.map(({ body }) => town.office.settled(body.sagaId)));
  expect(new Set(ends.map(({ state }) => state))).toEqual(new Set(['completed']));
});

test('when all is done the books balance: every invoice paid is money taken, and nothing is set aside', async () => {
  const [sums] = await town.query(
    'accounts',
    `select sum(balance - opening)::int as moved, sum(balance) filter (where kind = 'holding')::int as held,
            sum(balance) filter (where kind = 'merchant')::int as taken from accounts.account`,
  );
  const [paid] = await town.query<{ sum: number }>(
    'producer',
    `select coalesce(sum(amount), 0)::int as sum from billing.invoice where status = 'paid'`,
  );
  expect(sums).toEqual({ moved: 0, held: 0, taken: paid!.sum });
  expect(
    await town.query('accounts', 'select effect_key from accounts.entry group by 1 having sum(amount) <> 0'),
  ).toEqual([]);
  expect(
    await town.query(
      'accounts',
      `select account.id from accounts.account left join accounts.entry on account_id = account.id
        group by account.id having balance <> opening + coalesce(sum(amount), 0)`,
    ),
  ).toEqual([]);
  // in doubt about the pivot nothing is taken back: what was captured is what was paid
  expect(await town.query('accounts', `select count(*)::int from accounts.reservation where status = 'held'`)).toEqual([
    { count: 0 },
  ]);
});
