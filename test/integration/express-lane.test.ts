import { findSaga } from '../../src/db/saga-queries.js';
import { eventually } from '../support/eventually.js';
import { newPayment, newRegistration, useExpress } from '../support/express.js';
import { newSaga } from '../support/sagas.js';

const express = useExpress();

test('a saga that goes well completes without a workflow, and looks like any other', async () => {
  const request = newSaga();
  expect(await express.lane.accept(request)).toMatchObject({
    ...{ id: request.id, state: 'running', replayed: false, local: { status: 'applied' } },
  });
  await express.untilEnded('completed');
  expect(express.participant.received).toEqual([`${request.id}/stock/do`, `${request.id}/payment/do`]);
  expect(await express.sagaOf(request.id)).toMatchObject({
    state: 'completed',
    isDue: false,
    events: ['running', 'completed'],
  });
  expect(await findSaga(express.pool, { tenantId: 'default', sagaId: request.id })).toMatchObject({
    effects: [{ step: 'order', status: 'applied' }],
    messages: expect.arrayContaining([
      expect.objectContaining({ step: 'stock', status: 'sent', attempts: 1, lastError: null }),
      expect.objectContaining({ step: 'payment', status: 'sent', attempts: 1, lastError: null }),
    ]) as unknown,
  });
  expect((await express.messagesOf(request.id)).map(({ result }) => result)).toEqual([
    { reservationId: 'r-1' },
    { entryId: 'e-1', balance: 1 },
  ]);
  expect(express.lane.started).toEqual([]);
});

test('promise 3: acceptance, business row, record and messages owed are one transaction', async () => {
  const { id } = (await express.lane.accept(newSaga()))!;
  const { rows } = await express.pool.query(
    `select distinct txid from (
       select txid from settle.saga where id = $1 union all select txid from settle.idempotency_key where owner_id = $1
       union all select txid from settle.step_effect where saga_id = $1 union all select txid from settle.message_log where saga_id = $1
       union all select txid from shop.orders where saga_id = $1) as written`,
    [id],
  );
  expect(rows).toHaveLength(1);
  await express.untilEnded('completed');
});

test('promise 2: of many requests with one key at the same moment one is accepted, and its step runs once', async () => {
  const requests = Array.from({ length: 20 }, () => newSaga({ idempotencyKey: 'the same' }));
  const sagas = await Promise.all(requests.map((request) => express.lane.accept(request)));
  expect(new Set(sagas.map((saga) => saga!.id)).size).toBe(1);
  expect(sagas.filter((saga) => !saga!.replayed)).toHaveLength(1);
  await express.untilEnded('completed');
  const { rows } = await express.pool.query('select from shop.orders where order_id = any($1)', [
    requests.map(({ businessKey }) => businessKey),
  ]);
  expect(rows).toHaveLength(1);
});

test('of what a repeated request would have done nothing stays, nor does its refusal count', async () => {
  const first = newSaga();
  await express.lane.accept(first);
  const input = { ...(first.input as object), customerId: 'nobody' };
  const repeated = await express.lane.accept({ ...newSaga({ idempotencyKey: first.idempotencyKey }), input });
  expect(repeated).toMatchObject({ id: first.id, replayed: true, input: first.input });
  const payments = Array.from({ length: 20 }, () => ({ ...newPayment('i-5'), idempotencyKey: 'one payment' }));
  const sagas = await Promise.all(payments.map((payment) => express.lane.accept(payment)));
  expect(new Set(sagas.map((saga) => saga!.id)).size).toBe(1);
  await eventually(() => expect(express.lane.count('completed')).toBe(2));
  const { rows } = await express.pool.query(`select status from billing.payment where payment_id = any($1)`, [
    payments.map(({ businessKey }) => businessKey),
  ]);
  expect(rows).toEqual([{ status: 'paid' }]);
});

test('a refusal by the first step is stored, and the saga has settled when its client learns of it', async () => {
  const request = newSaga();
  const input = { ...(request.input as object), customerId: 'nobody' };
  expect(await express.lane.accept({ ...request, input })).toMatchObject({
    ...{ state: 'compensated', local: { status: 'rejected', reason: { code: 'unknown-customer', step: 'order' } } },
  });
  expect(await express.sagaOf(request.id)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'unknown-customer', step: 'order' } },
    events: ['running', 'compensating', 'compensated'],
  });
  expect(await findSaga(express.pool, { tenantId: 'default', sagaId: request.id })).toMatchObject({
    effects: [{ step: 'order', status: 'rejected', reason: { code: 'unknown-customer' } }],
    messages: [],
  });
  expect([express.participant.received, express.lane.started, express.lane.count('refused')]).toEqual([[], [], 1]);
});

test('a payment goes through: its pivot is recorded before it is sent, and its last local step runs', async () => {
  const release = express.participant.hold('accounts.capture');
  const { id } = (await express.lane.accept(newPayment('i-2')))!;
  await eventually(() => {
    expect(express.participant.received).toHaveLength(2);
  });
  expect(await express.messagesOf(id)).toMatchObject([
    { step: 'reservation', attempts: 1 },
    { step: 'capture', attempts: 1 },
  ]);
  release();
  await express.untilEnded('completed');
  const { rows } = await express.pool.query(`select status from billing.invoice where id = 'i-2'`);
  expect([rows, (await express.sagaOf(id))['state']]).toEqual([[{ status: 'paid' }], 'completed']);
});

test('a registration goes through, the members of its group at the same time', async () => {
  const release = express.participant.hold('profiles.create');
  const { id } = (await express.lane.accept(newRegistration('bob')))!;
  await eventually(() => {
    expect(express.participant.received).toHaveLength(3);
  });
  release();
  await express.untilEnded('completed');
  expect(express.participant.received.at(-1)).toBe(`${id}/welcome/do`);
});

test('when its first step fails other than by refusing, nothing is stored, and the saga may take the other lane', async () => {
  const request = newPayment('i-3');
  await express.pool.query(`alter table billing.payment add constraint broken check (invoice_id <> 'i-3')`);
  expect(await express.lane.accept(request)).toBeUndefined();
  expect(await express.sagaOf(request.id)).toBeUndefined();
  expect(express.lane.count('failed')).toBe(1);
});

test('a payload that breaks its contract leaves nothing behind, neither saga nor business row', async () => {
  const request = newSaga();
  const items = [{ sku: 'x'.repeat(65), quantity: 1, unitPrice: 1 }];
  expect(await express.lane.accept({ ...request, input: { ...(request.input as object), items } })).toBeUndefined();
  const { rows } = await express.pool.query(
    'select id from settle.saga where id = $1 union all select order_id from shop.orders where saga_id = $1',
    [request.id],
  );
  expect(rows).toEqual([]);
});
