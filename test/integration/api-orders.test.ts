import { applyLocal, undoLocal } from '../../src/db/local-effects.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { startOf } from '../../src/db/saga-store.js';
import { RejectedError } from '../../src/saga/errors.js';
import { place } from '../../activities/orders.js';
import { GOOD_ORDER, seed, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';

describe('POST /v1/orders', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  let keys = 0;
  beforeAll(async () => {
    api = await startTestApi(database.url);
    await seed(api.pool);
  });
  afterAll(() => api.stop());

  const newKey = (): string => `key-${++keys}`;
  const post = (
    key: string,
    { body = GOOD_ORDER, headers = {} }: { body?: object; headers?: object } = {},
  ): Promise<Response> =>
    fetch(`${api.url}/v1/orders`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', 'idempotency-key': key, ...headers },
      body: JSON.stringify(body),
    });
  const countSagas = async (): Promise<number> =>
    (await api.pool.query<{ count: number }>('select count(*) from settle.saga')).rows[0]!.count;
  /** Runs the local transaction of the next saga, as the worker would. */
  const runLocal = async (key: string, work: typeof place = place): Promise<string> => {
    const saga = await eventually(async () => {
      const { rows } = await api.pool.query('select id, input from settle.saga where idempotency_key = $1', [key]);
      expect(rows).toHaveLength(1);
      return rows[0] as { id: string; input: never };
    });
    const context = { sagaId: saga.id, tenantId: 'default', input: saga.input, results: {} };
    const effect = { sagaId: saga.id, step: 'order', action: 'do' } as const;
    await applyLocal(api.pool, { effect, tenantId: 'default', work: (tx) => work(tx, context) }).catch(() => undefined);
    return saga.id;
  };

  test.each([
    [
      'handed on',
      '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
      '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01',
    ],
    ['malformed, and passed over', '00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01', undefined],
  ])('the trace of a request is %s to its saga', async (_, traceparent, expected) => {
    const { sagaId } = (await (await post(newKey(), { headers: { traceparent } })).json()) as { sagaId: string };
    const saga = api.starter.started.find(({ id }) => id === sagaId)!;
    expect(startOf(saga).traceparent).toBe(expected);
    const { rows } = await api.pool.query('select traceparent from settle.saga where id = $1', [sagaId]);
    expect(rows).toEqual([{ traceparent: expected ?? null }]);
  });

  test('an accepted order is stored before it is answered, and started', async () => {
    const response = await post(newKey());
    const body = (await response.json()) as { sagaId: string; orderId: string };
    expect(response.status).toBe(202);
    expect(body).toEqual({
      sagaId: expect.stringMatching(/^sg_/),
      orderId: expect.stringMatching(/^ord_/),
      state: 'accepted',
    });
    expect(response.headers.get('location')).toBe(`/v1/sagas/${body.sagaId}`);
    expect(api.starter.started.at(-1)).toMatchObject({
      id: body.sagaId,
      type: 'place-order',
      businessKey: body.orderId,
    });
    const { rows } = await api.pool.query('select state, input from settle.saga where id = $1', [body.sagaId]);
    expect(rows).toEqual([{ state: 'accepted', input: { orderId: body.orderId, ...GOOD_ORDER } }]);
  });

  test('a repeated request brings the same answer and starts nothing', async () => {
    const key = newKey();
    const first = await post(key);
    const startedBefore = api.starter.started.length;
    const reordered = { items: GOOD_ORDER.items, currency: 'EUR', customerId: 'c-1' };
    const second = await post(`"${key}"`, { body: reordered });
    expect(second.status).toBe(202);
    expect(await second.json()).toEqual(await first.json());
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    expect(second.headers.get('idempotent-replayed')).toBe('true');
    expect(second.headers.get('location')).toBe(first.headers.get('location'));
    expect(api.starter.started).toHaveLength(startedBefore);
  });

  test('the same key with another body is refused and changes nothing', async () => {
    const key = newKey();
    await post(key);
    const before = await countSagas();
    const response = await post(key, { body: { ...GOOD_ORDER, customerId: 'c-2' } });
    expect(response.status).toBe(422);
    expect(await response.json()).toMatchObject({ type: '/problems/idempotency-key-reused', status: 422 });
    expect(await countSagas()).toBe(before);
  });

  test('fifty identical requests at the same moment make one saga and fifty equal answers', async () => {
    const key = newKey();
    const before = await countSagas();
    const startedBefore = api.starter.started.length;
    const responses = await Promise.all(Array.from({ length: 50 }, () => post(key)));
    const answers = await Promise.all(responses.map(async (response) => `${response.status} ${await response.text()}`));
    expect(new Set(answers).size).toBe(1);
    expect(answers[0]).toMatch(/^202 /);
    expect(await countSagas()).toBe(before + 1);
    expect(api.starter.started).toHaveLength(startedBefore + 1);
  });

  test('with a preferred wait the answer is the placed order', async () => {
    const key = newKey();
    const answer = post(key, { headers: { prefer: 'respond-async, wait=30' } });
    const sagaId = await runLocal(key);
    const response = await answer;
    const body = (await response.json()) as { orderId: string };
    expect(response.status).toBe(201);
    expect(body).toMatchObject({ sagaId, status: 'placed', total: 2_500, ...GOOD_ORDER });
    expect(response.headers.get('location')).toBe(`/v1/orders/${body.orderId}`);
    expect(response.headers.get('preference-applied')).toBe('wait=30');
    const again = await post(key, { headers: { prefer: 'wait=1' } });
    expect(again.status).toBe(201);
    expect(await again.json()).toEqual(body);
  });

  test('with a preferred wait a refused order is a problem that names the reason', async () => {
    const key = newKey();
    const answer = post(key, { body: { ...GOOD_ORDER, customerId: 'nobody' }, headers: { prefer: 'wait=30' } });
    await runLocal(key);
    const response = await answer;
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({
      type: '/problems/order-rejected',
      reason: { code: 'unknown-customer', step: 'order' },
    });
  });

  test('a saga that settles without its local transaction ends the wait as a refusal', async () => {
    const key = newKey();
    const answer = post(key, { headers: { prefer: 'wait=30' } });
    const id = await eventually(async () => {
      const { rows } = await api.pool.query<{ id: string }>('select id from settle.saga where idempotency_key = $1', [
        key,
      ]);
      return rows[0]!.id;
    });
    await settleSaga(api.pool, {
      sagaId: id,
      outcome: 'compensated',
      reason: { code: 'deadline', message: 'too late' },
    });
    const response = await answer;
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ reason: { code: 'deadline' } });
  });

  test('a local transaction that was undone before it was done ends the wait as a refusal', async () => {
    const key = newKey();
    const answer = post(key, { headers: { prefer: 'wait=30' } });
    const id = await runLocal(key, () => Promise.reject(new Error('not now')));
    const effect = { sagaId: id, step: 'order', action: 'undo' } as const;
    await undoLocal(api.pool, { effect, tenantId: 'default', work: () => Promise.resolve() });
    expect((await answer).status).toBe(409);
  });

  test('when the preferred wait is over the answer is the acceptance', async () => {
    const response = await post(newKey(), { headers: { prefer: 'wait=1' } });
    expect(response.status).toBe(202);
    expect(await response.json()).toMatchObject({ state: 'accepted' });
    expect(response.headers.get('preference-applied')).toBeNull();
  });

  test('a hundred waits share the pool with everybody else', async () => {
    const waiting = Array.from({ length: 100 }, () => post(newKey(), { headers: { prefer: 'wait=3' } }));
    const response = await post(newKey());
    expect(response.status).toBe(202);
    const { rows } = await api.pool.query<{ key: string }>(
      `select idempotency_key as key from settle.saga order by id desc limit 101`,
    );
    expect(rows).toHaveLength(101);
    const answers = await Promise.all(waiting);
    expect(answers.every(({ status }) => status === 202)).toBe(true);
  });

  test('an order can be read before, while and after it is placed', async () => {
    const key = newKey();
    const { orderId } = (await (await post(key)).json()) as { orderId: string };
    const get = async (): Promise<object> => (await (await fetch(`${api.url}/v1/orders/${orderId}`)).json()) as object;
    expect(await get()).toMatchObject({
      orderId,
      status: 'pending',
      sagaState: 'accepted',
      total: 2_500,
      placedAt: null,
    });
    await runLocal(key);
    expect(await get()).toMatchObject({
      orderId,
      status: 'placed',
      sagaState: 'running',
      placedAt: expect.any(String),
    });
  });

  test('an order that was refused can be read with its reason', async () => {
    const key = newKey();
    const { orderId, sagaId } = (await (await post(key)).json()) as { orderId: string; sagaId: string };
    await runLocal(key, () => Promise.reject(new RejectedError('no', 'not today')));
    await settleSaga(api.pool, { sagaId, outcome: 'compensated', reason: { code: 'no', message: 'not today' } });
    const response = await fetch(`${api.url}/v1/orders/${orderId}`);
    expect(await response.json()).toMatchObject({
      status: 'rejected',
      sagaState: 'compensated',
      reason: { code: 'no' },
    });
  });
});
