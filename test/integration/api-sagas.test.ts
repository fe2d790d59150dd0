import { place } from '../../activities/orders.js';
import { applyLocal, undoLocal } from '../../src/db/local-effects.js';
import { claimMessage, claimUndo, recordAnswer, recordFailure } from '../../src/db/message-log.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { recordState } from '../../src/db/saga-store.js';
import type { Ledger } from '../../src/api/ledger.js';
import type { SagaPage, SagaView } from '../../src/api/schemas.js';
import { effectKey } from '../../src/saga/ids.js';
import type { Wrap } from '../../src/saga/wrap.js';
import { GOOD_ORDER, postOrder, seed, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';

const TENANT = 'default';

describe('/v1/sagas', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  beforeAll(async () => {
    api = await startTestApi(database.url, { heartbeatMs: 100 });
    await seed(api.pool);
  });
  afterAll(() => api.stop());

  const accept = async (): Promise<{ sagaId: string; orderId: string }> => {
    const response = await postOrder(api.url);
    return (await response.json()) as { sagaId: string; orderId: string };
  };
  const get = async (sagaId: string): Promise<SagaView> =>
    (await (await fetch(`${api.url}/v1/sagas/${sagaId}`)).json()) as SagaView;
  const statuses = async (sagaId: string): Promise<object> =>
    Object.fromEntries((await get(sagaId)).steps.map(({ name, status }) => [name, status]));
  const placeLocally = async ({ sagaId, orderId }: { sagaId: string; orderId: string }): Promise<void> => {
    const input = { orderId, ...GOOD_ORDER, items: [...GOOD_ORDER.items] };
    const context = { sagaId, tenantId: TENANT, input, results: {} };
    const effect = { sagaId, step: 'order', action: 'do' } as const;
    await applyLocal(api.pool, { effect, tenantId: TENANT, work: (tx) => place(tx, context) });
  };
  const attempt = async (sagaId: string, step: string, action: 'do' | 'undo' = 'do'): Promise<string> => {
    const claim = { effect: { sagaId, step, action }, tenantId: TENANT, type: 'some.type' };
    await (action === 'do' ? claimMessage(api.pool, { ...claim, payload: {} }) : claimUndo(api.pool, claim));
    return effectKey(claim.effect);
  };
  const cancel = (sagaId: string, body?: object): Promise<Response> =>
    fetch(`${api.url}/v1/sagas/${sagaId}/cancel`, {
      method: 'POST',
      ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
    });

  test('a saga shows its steps as they go, forward', async () => {
    const order = await accept();
    const { sagaId } = order;
    expect(await statuses(sagaId)).toEqual({ order: 'pending', stock: 'pending', payment: 'pending' });
    await placeLocally(order);
    const key = await attempt(sagaId, 'stock');
    await recordFailure(api.pool, key, 'connection refused');
    await attempt(sagaId, 'stock');
    const saga = await get(sagaId);
    expect(saga).toMatchObject({
      sagaId,
      type: 'place-order',
      state: 'running',
      reason: null,
      parkReason: null,
      businessKey: order.orderId,
      finishedAt: null,
      links: {
        events: `/v1/sagas/${sagaId}/events`,
        temporal: `http://127.0.0.1:8233/namespaces/default/workflows/${sagaId}`,
      },
    });
    expect(saga.steps).toMatchObject([
      { name: 'order', kind: 'compensatable', type: 'local', action: 'orders.place', status: 'done', attempts: 1 },
      {
        name: 'stock',
        type: 'message',
        action: 'inventory.deduct',
        status: 'running',
        attempts: 2,
        startedAt: expect.any(String),
        finishedAt: null,
        lastError: 'connection refused',
        effectKeys: { do: key, undo: `${sagaId}/stock/undo` },
        undo: { action: 'inventory.release', attempts: 0 },
      },
      { name: 'payment', status: 'pending', attempts: 0, startedAt: null },
    ]);
    await recordAnswer(api.pool, key, { status: 'sent', result: {} });
    expect(await statuses(sagaId)).toEqual({ order: 'done', stock: 'done', payment: 'pending' });
  });

  test('a saga shows its steps as they go, back', async () => {
    const order = await accept();
    const { sagaId } = order;
    await placeLocally(order);
    const stock = await attempt(sagaId, 'stock');
    const reason = { code: 'no-money', message: 'balance too low', step: 'payment' };
    await recordState(api.pool, { sagaId, state: 'compensating', reason });
    expect(await statuses(sagaId)).toEqual({ order: 'done', stock: 'unknown', payment: 'skipped' });
    const undo = await attempt(sagaId, 'stock', 'undo');
    expect(await statuses(sagaId)).toEqual({ order: 'done', stock: 'undoing', payment: 'skipped' });
    await recordAnswer(api.pool, undo, { status: 'rejected', reason: { code: 'no', message: 'will not' } });
    await recordState(api.pool, { sagaId, state: 'parked', reason: { code: 'undo-rejected', message: 'will not' } });
    expect(await get(sagaId)).toMatchObject({ state: 'parked', reason, parkReason: { code: 'undo-rejected' } });
    expect(await statuses(sagaId)).toEqual({ order: 'done', stock: 'parked', payment: 'skipped' });
    await api.pool.query(`update settle.message_log set status = 'sent' where effect_key = $1`, [undo]);
    const effect = { sagaId, step: 'order', action: 'undo' } as const;
    await undoLocal(api.pool, { effect, tenantId: TENANT, work: () => Promise.resolve() });
    await settleSaga(api.pool, { sagaId, outcome: 'compensated', reason });
    expect(await statuses(sagaId)).toEqual({ order: 'undone', stock: 'undone', payment: 'skipped' });
    expect(await get(sagaId)).toMatchObject({ state: 'compensated', reason, finishedAt: expect.any(String) });
    expect(stock).not.toBe(undo);
  });

  test('a refused step shows as rejected, with the reason', async () => {
    const order = await accept();
    await placeLocally(order);
    const key = await attempt(order.sagaId, 'stock');
    await recordAnswer(api.pool, key, { status: 'rejected', reason: { code: 'out-of-stock', message: 'none left' } });
    const [, stock] = (await get(order.sagaId)).steps;
    expect(stock).toMatchObject({ status: 'rejected', lastError: 'none left' });
  });

  test('a list can be walked page by page, newest first, each saga once', async () => {
    const made: string[] = [];
    for (let n = 0; n < 7; n++) made.unshift((await accept()).sagaId);
    const seen: string[] = [];
    let cursor = '';
    do {
      const page = (await (await fetch(`${api.url}/v1/sagas?limit=3${cursor}`)).json()) as SagaPage;
      expect(page.sagas.length).toBeLessThanOrEqual(3);
      seen.push(...page.sagas.map(({ sagaId }) => sagaId));
      cursor = page.next === null ? '' : `&cursor=${page.next}`;
    } while (cursor !== '');
    expect(seen.slice(0, 7)).toEqual(made);
    expect(new Set(seen).size).toBe(seen.length);
    const { rows } = await api.pool.query<{ count: number }>('select count(*) from settle.saga');
    expect(seen).toHaveLength(rows[0]!.count);
  });

  test('a list can be narrowed by type, state and business key', async () => {
    const order = await accept();
    const list = async (query: string): Promise<string[]> => {
      const page = (await (await fetch(`${api.url}/v1/sagas?${query}`)).json()) as SagaPage;
      return page.sagas.map(({ sagaId }) => sagaId);
    };
    expect(await list(`key=${order.orderId}`)).toEqual([order.sagaId]);
    expect(await list(`key=${order.orderId}&state=accepted&type=place-order`)).toEqual([order.sagaId]);
    expect(await list(`key=${order.orderId}&state=completed`)).toEqual([]);
    expect(await list(`key=${order.orderId}&type=transfer`)).toEqual([]);
  });

  test('a cancel is recorded and signalled, and repeating it is harmless', async () => {
    const { sagaId } = await accept();
    const response = await cancel(sagaId, { reason: 'changed my mind' });
    expect(response.status).toBe(202);
    expect(await response.json()).toEqual({ sagaId, state: 'accepted' });
    expect((await cancel(sagaId)).status).toBe(202);
    expect(api.starter.cancelled.filter((id) => id === sagaId)).toHaveLength(2);
    const { rows } = await api.pool.query('select cancel_reason as reason from settle.saga where id = $1', [sagaId]);
    expect(rows).toEqual([{ reason: { code: 'cancelled', message: 'changed my mind' } }]);
  });

  test('a cancel is durable while Temporal is away', async () => {
    const { sagaId } = await accept();
    api.starter.isUp = false;
    expect((await cancel(sagaId)).status).toBe(202);
    api.starter.isUp = true;
    const { rows } = await api.pool.query('select cancel_reason is not null as known from settle.saga where id = $1', [
      sagaId,
    ]);
    expect(rows).toEqual([{ known: true }]);
  });

  test('a settled saga cannot be cancelled, and stays as it is', async () => {
    const { sagaId } = await accept();
    await settleSaga(api.pool, { sagaId, outcome: 'completed' });
    const response = await cancel(sagaId);
    expect(response.status).toBe(409);
    expect(await response.json()).toMatchObject({ type: '/problems/saga-settled', state: 'completed' });
    expect(api.starter.cancelled).not.toContain(sagaId);
  });

  describe('events', () => {
    const states = (text: string): string[] =>
      [...text.matchAll(/^data: .*"state":"(\w+)"/gm)].map(([, state]) => state!);
    const open = async (sagaId: string, lastEventId?: string): Promise<Response> =>
      fetch(`${api.url}/v1/sagas/${sagaId}/events`, {
        headers: lastEventId === undefined ? {} : { 'last-event-id': lastEventId },
      });

    test('past events come first, then each as it happens, and the terminal one ends the stream', async () => {
      const order = await accept();
      await placeLocally(order);
      const response = await open(order.sagaId);
      expect(response.headers.get('content-type')).toMatch(/^text\/event-stream/);
      const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      const readUntil = async (isThere: () => boolean): Promise<void> => {
        while (!isThere()) text += (await reader.read()).value ?? '';
      };
      await readUntil(() => states(text).length === 2);
      expect(states(text)).toEqual(['accepted', 'running']);
      await readUntil(() => text.includes('\n: still here\n'));
      await settleSaga(api.pool, { sagaId: order.sagaId, outcome: 'completed' });
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      expect(states(text)).toEqual(['accepted', 'running', 'completed']);
    });

    test('a client that reconnects gets what it missed, and is told when there is nothing more', async () => {
      const order = await accept();
      await placeLocally(order);
      await settleSaga(api.pool, { sagaId: order.sagaId, outcome: 'completed' });
      const text = await (await open(order.sagaId)).text();
      const ids = [...text.matchAll(/^id: (\d+)$/gm)].map(([, id]) => id!);
      expect(ids).toHaveLength(3);
      expect(states(await (await open(order.sagaId, ids[0])).text())).toEqual(['running', 'completed']);
      expect((await open(order.sagaId, ids[2])).status).toBe(204);
      expect((await open(order.sagaId, 'abc')).status).toBe(400);
    });

    test('HEAD answers at once', async () => {
      const { sagaId } = await accept();
      const response = await fetch(`${api.url}/v1/sagas/${sagaId}/events`, { method: 'HEAD' });
      expect(response.status).toBe(200);
    });

    test('a client that goes is not watched for any longer', async () => {
      const [leaving, staying] = [await accept(), await accept()];
      let watched: string[] = [];
      const spy: Wrap = (_name, port) => {
        if (!('findEventsAfter' in port)) return port;
        const ledger = port as unknown as Ledger;
        const findEventsAfter: Ledger['findEventsAfter'] = (asked) => {
          watched = asked.map(({ sagaId }) => sagaId);
          return ledger.findEventsAfter(asked);
        };
        return { ...port, findEventsAfter };
      };
      const spied = await startTestApi(database.url, { wrap: spy });
      const leaver = new AbortController();
      const follow = async (sagaId: string): Promise<void> => {
        const response = await fetch(`${spied.url}/v1/sagas/${sagaId}/events`, { signal: leaver.signal });
        await response.body!.getReader().read();
      };
      await follow(leaving.sagaId);
      const stays = new AbortController();
      await fetch(`${spied.url}/v1/sagas/${staying.sagaId}/events`, { signal: stays.signal });
      await eventually(() => expect(watched.toSorted()).toEqual([leaving.sagaId, staying.sagaId].toSorted()));
      leaver.abort();
      await eventually(() => expect(watched).toEqual([staying.sagaId]));
      stays.abort();
      await spied.stop();
    });

    test('stopping ends open streams and waits, and what is under way is answered', async () => {
      const { sagaId } = await accept();
      const stopping = await startTestApi(database.url);
      const stream = await fetch(`${stopping.url}/v1/sagas/${sagaId}/events`);
      const reader = stream.body!.pipeThrough(new TextDecoderStream()).getReader();
      let text = '';
      while (states(text).length === 0) text += (await reader.read()).value ?? '';
      const waiting = postOrder(stopping.url, { headers: { prefer: 'wait=30' } });
      await eventually(() => expect(stopping.starter.started).toHaveLength(1));
      const began = Date.now();
      await Promise.all([stopping.stop(), stopping.stop()]);
      // long before the 30 s that one of them would wait
      expect(Date.now() - began).toBeLessThan(15_000);
      expect((await waiting).status).toBe(202);
      for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
      expect(states(text)).toEqual(['accepted']);
      await expect(fetch(`${stopping.url}/health/live`)).rejects.toThrow('fetch failed');
    });
  });
});
