import type { ParkedPage } from '../../src/api/operator-schemas.js';
import { claimMessage, claimUndo, recordAnswer } from '../../src/db/message-log.js';
import { FencedError } from '../../src/saga/errors.js';
import { startTestApi, useTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { DEDUCT, parkedSagas, TENANT } from '../support/parked-sagas.js';

describe('operators', () => {
  const database = useDatabase('producer');
  const api = useTestApi(database);
  const { accept, parkForward, parkBackward, act, parked, view, message, audit } = parkedSagas(() => api);

  test('what is parked is listed with its reason, its payload and the legal actions only', async () => {
    const [forward, backward] = [await parkForward(), await parkBackward()];
    const { items } = await parked();
    const find = (subject: string): unknown => items.filter(({ id }) => id === subject);
    expect(find(forward)).toMatchObject([
      {
        ...{ step: 'stock', direction: 'do', action: 'inventory.deduct', payload: DEDUCT, revision: 0, attempts: 1 },
        reason: { code: 'effect-key-reused' },
        actions: ['retry', 'skip', 'compensate', 'resolve', 'edit'],
      },
    ]);
    expect(find(backward)).toMatchObject([
      {
        ...{ step: 'stock', direction: 'undo', action: 'inventory.release' },
        reason: { code: 'closed', message: 'the warehouse is closed' },
        actions: ['retry', 'skip', 'resolve', 'edit'],
      },
    ]);
    expect((await view(backward)).steps.find(({ name }) => name === 'stock')).toMatchObject({
      status: 'parked',
      parkReason: { code: 'closed' },
    });
  });

  test('the list can be walked page by page', async () => {
    for (let n = 0; n < 3; n++) await parkForward();
    const all = (await parked('?limit=200')).items.map(({ id }) => id);
    const seen: string[] = [];
    let cursor: string | null = '';
    while (cursor !== null) {
      const page: ParkedPage = await parked(`?limit=2${cursor === '' ? '' : `&cursor=${cursor}`}`);
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.next;
    }
    expect(seen).toEqual(all);
  });

  test('a retry asks a refused undo anew, under a higher revision', async () => {
    const sagaId = await parkBackward();
    expect(await act(sagaId, { action: 'retry' })).toMatchObject({
      status: 200,
      body: { step: 'stock', state: 'compensating' },
    });
    expect(await message(`${sagaId}/stock/undo`)).toMatchObject({ status: 'pending', revision: 1 });
    expect(api.starter.operated.at(-1)).toMatchObject({ action: 'retry', step: 'stock' });
  });

  test('a retry of an effect that was found under another payload keeps its revision', async () => {
    const sagaId = await parkForward();
    expect(await act(sagaId, { action: 'retry' })).toMatchObject({ status: 200, body: { state: 'running' } });
    expect(await message(`${sagaId}/stock/do`)).toMatchObject({ status: 'pending', revision: 0 });
  });

  test('a skip records the attested result, and a result that breaks the contract is refused', async () => {
    const sagaId = await parkForward();
    for (const result of [undefined, {}, { reservationId: 7 }]) {
      expect(await act(sagaId, { action: 'skip', result })).toMatchObject({
        status: 400,
        body: { type: '/problems/invalid-request' },
      });
    }
    expect(await audit(sagaId)).toEqual([]);
    expect(await act(sagaId, { action: 'skip', result: { reservationId: 'r-7' } })).toMatchObject({ status: 200 });
    expect(await message(`${sagaId}/stock/do`)).toMatchObject({ status: 'sent', result: { reservationId: 'r-7' } });
    const answered = await claimMessage(api.pool, {
      ...{ effect: { sagaId, step: 'stock', action: 'do' }, tenantId: TENANT },
      ...{ type: 'inventory.deduct', payload: {} },
    });
    expect(answered).toMatchObject({ status: 'sent', result: { reservationId: 'r-7' } });
  });

  test('an undo is attested without a result', async () => {
    const sagaId = await parkBackward();
    expect((await act(sagaId, { action: 'skip', result: {} })).status).toBe(400);
    expect(await act(sagaId, { action: 'skip' })).toMatchObject({ status: 200, body: { state: 'compensating' } });
    expect((await view(sagaId)).steps[1]).toMatchObject({ name: 'stock', status: 'undone', parkReason: null });
  });

  test('an edit makes a new revision under the same key, and an answer to the old one no longer counts', async () => {
    const sagaId = await parkForward();
    const key = `${sagaId}/stock/do`;
    expect((await act(sagaId, { action: 'edit', payload: { orderId: 'o-1', items: [] } })).status).toBe(400);
    const payload = { ...DEDUCT, items: [{ sku: 'pen', quantity: 1 }] };
    expect(await act(sagaId, { action: 'edit', payload })).toMatchObject({ status: 200 });
    await recordAnswer(api.pool, { effectKey: key, revision: 0 }, { status: 'sent', result: { reservationId: 'old' } });
    expect(await message(key)).toEqual({ status: 'pending', revision: 1, payload, result: null });
    await recordAnswer(api.pool, { effectKey: key, revision: 1 }, { status: 'sent', result: { reservationId: 'new' } });
    expect(await message(key)).toMatchObject({ status: 'sent', result: { reservationId: 'new' } });
  });

  test('to compensate is decided in the ledger at once: nothing goes forward any more', async () => {
    const sagaId = await parkForward();
    expect(await act(sagaId, { action: 'compensate' })).toMatchObject({ status: 200, body: { state: 'compensating' } });
    const claim = {
      effect: { sagaId, step: 'payment', action: 'do' },
      tenantId: TENANT,
      type: 'accounts.debit',
      payload: {},
    } as const;
    await expect(claimMessage(api.pool, claim)).rejects.toBeInstanceOf(FencedError);
    expect(await view(sagaId)).toMatchObject({
      reason: { code: 'compensated-by-operator', message: 'ann: called the warehouse' },
    });
  });

  test('to compensate on the word that effects may be repeated holds for the undos, too', async () => {
    for (const mayRepeat of [true, false]) {
      const sagaId = await parkForward();
      await act(sagaId, { action: 'compensate', mayRepeat });
      const effect = { sagaId, step: 'stock', action: 'undo' } as const;
      expect(await claimUndo(api.pool, { effect, tenantId: TENANT, type: 'inventory.release' })).toMatchObject({
        mayRepeat,
      });
    }
  });

  test.each(['completed', 'compensated'] as const)(
    'resolved as %s, a saga ends and shows that a person ended it',
    async (outcome) => {
      const sagaId = await parkBackward();
      expect((await act(sagaId, { action: 'resolve' })).status).toBe(400);
      expect(await act(sagaId, { action: 'resolve', outcome })).toMatchObject({
        status: 200,
        body: { state: outcome },
      });
      const saga = await view(sagaId);
      expect(saga).toMatchObject({
        state: outcome,
        parkReason: null,
        reason: { code: 'resolved-manually', step: 'stock' },
      });
      expect(saga.actions).toMatchObject([{ action: 'resolve', actor: 'ann', reason: 'called the warehouse' }]);
      const undo = {
        effect: { sagaId, step: 'stock', action: 'undo' },
        tenantId: TENANT,
        type: 'inventory.release',
      } as const;
      await expect(claimUndo(api.pool, undo)).rejects.toMatchObject({ settledAs: outcome });
    },
  );

  test('what is not legal is refused with what is, and changes nothing', async () => {
    const backward = await parkBackward();
    expect(await act(backward, { action: 'compensate' })).toMatchObject({
      status: 409,
      body: {
        type: '/problems/action-not-legal',
        state: 'parked',
        legal: [{ step: 'stock', actions: ['retry', 'skip', 'resolve', 'edit'] }],
      },
    });
    expect((await act(backward, { action: 'retry', step: 'payment' })).status).toBe(409);
    expect(await act(await accept(), { action: 'retry' })).toMatchObject({
      status: 409,
      body: { state: 'accepted', legal: [] },
    });
    expect(await audit(backward)).toEqual([]);
  });

  test('a step that was parked when its workflow was lost, and that another has done since, waits for nobody', async () => {
    const sagaId = await parkForward();
    const effect = { sagaId, step: 'stock', action: 'do' } as const;
    await claimMessage(api.pool, { effect, tenantId: TENANT, type: 'inventory.deduct', payload: DEDUCT });
    await recordAnswer(api.pool, `${sagaId}/stock/do`, { status: 'sent', result: { reservationId: 'r' } });
    expect((await parked(`?id=${sagaId}`)).items).toEqual([]);
    expect(await act(sagaId, { action: 'compensate' })).toMatchObject({ status: 409, body: { legal: [] } });
  });

  test('bad input is refused before anything is asked of the ledger', async () => {
    const sagaId = await parkForward();
    for (const change of [
      { action: 'explode' },
      { action: 'retry', actor: '' },
      { action: 'retry', reason: undefined },
      { action: 'retry', actionId: 'with space' },
      { action: 'retry', outcome: 'completed' },
      { action: 'retry', surprise: true },
      { action: 'retry', result: {} },
      { action: 'edit' },
      { action: 'skip', result: { reservationId: 'a\0b' } },
      { action: 'skip', result: { '\ud800': 'b' } },
    ]) {
      expect(await act(sagaId, change)).toMatchObject({ status: 400, body: { type: '/problems/invalid-request' } });
    }
    expect((await act('sg_x', { action: 'retry' })).status).toBe(404);
    expect((await act('sg_0198c5a0-7e1c-7000-8000-000000000001', { action: 'retry' })).status).toBe(404);
  });

  test("another tenant's saga does not exist, and its action ids are its own", async () => {
    const sagaId = await parkForward();
    const other = await startTestApi(database.url, { config: { apiKeys: new Map([['k', 'other']]) } });
    const init = { method: 'POST', headers: { authorization: 'Bearer k', 'content-type': 'application/json' } };
    const body = JSON.stringify({ actionId: 'a', action: 'retry', actor: 'eve', reason: 'curious' });
    expect((await fetch(`${other.url}/v1/sagas/${sagaId}/actions`, { ...init, body })).status).toBe(404);
    const list = (await (await fetch(`${other.url}/v1/parked`, { headers: init.headers })).json()) as ParkedPage;
    expect(list).toEqual({ items: [], next: null });
    await other.stop();
    expect(await audit(sagaId)).toEqual([]);
  });
});
