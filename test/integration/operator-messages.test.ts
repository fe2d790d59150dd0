import type { ActionView, ParkedPage } from '../../src/api/operator-schemas.js';
import { claimUndelivered, verifyOperatorActions } from '../../src/db/operator-actions.js';
import { startTestApi, useTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { actionBody, ask, parkMessage } from '../support/parked-messages.js';
import { parkedSagas } from '../support/parked-sagas.js';

const DAY_MS = 86_400_000;

describe('operators act on half messages', () => {
  const database = useDatabase('producer');
  const api = useTestApi(database);
  const sagas = parkedSagas(() => api);

  const act = (id: string, change: object): Promise<{ status: number; body: ActionView }> =>
    ask<ActionView>(api.url, `/v1/messages/${id}/actions`, { body: actionBody(change) });
  const find = async (id: string): Promise<Record<string, unknown>> => (await ask(api.url, `/v1/messages/${id}`)).body;
  const listed = async (query: string): Promise<ParkedPage['items']> =>
    (await ask<ParkedPage>(api.url, `/v1/parked?${query}`)).body.items;

  test('sagas and messages are listed together, newest first, in one shape, and page by page', async () => {
    const ids = [await sagas.parkForward(), await parkMessage(api), await sagas.parkBackward(), await parkMessage(api)];
    const seen: string[] = [];
    const walk = async (cursor: string): Promise<void> => {
      const { body } = await ask<ParkedPage>(api.url, `/v1/parked?limit=1${cursor}`);
      seen.push(...body.items.map(({ id }) => id));
      if (body.next !== null) await walk(`&cursor=${body.next}`);
    };
    await walk('');
    expect(seen).toEqual(ids.toReversed());
    expect((await listed(`id=${ids[1]}`))[0]).toEqual({
      ...{ kind: 'half-message', id: ids[1], type: 'notes.write', businessKey: null, step: 'message', direction: 'do' },
      ...{ action: 'notes.write', effectKey: `${ids[1]}/message/do`, attempts: 0, revision: 0, lastError: null },
      ...{ payload: { amount: 13 }, reason: { code: 'unlucky', message: 'it cannot be' }, mayRepeat: false },
      ...{ since: expect.any(String), actions: ['resend', 'edit', 'skip', 'discard'] },
    });
  });

  test.each([
    ['kind=half-message&reason=odd', 1],
    ['reason=odd&step=message', 1],
    ['type=notes.write&reason=odd&olderThanMs=0', 1],
    ['kind=saga&reason=odd', 0],
    ['reason=odd&step=stock', 0],
    ['reason=odd&olderThanMs=60000', 0],
  ])('the list shows what the query %j means, and no more', async (query, count) => {
    const id = await parkMessage(api, { code: 'odd' });
    expect((await listed(query)).filter((item) => item.id === id)).toHaveLength(count);
  });

  test('bad input is refused with a pointer to it', async () => {
    const id = await parkMessage(api);
    for (const query of ['kind=x', 'step=X', 'olderThanMs=-1', 'cursor=bm8', 'limit=0', 'surprise=1']) {
      expect((await ask(api.url, `/v1/parked?${query}`)).status).toBe(400);
    }
    for (const change of [
      { action: 'explode' },
      { action: 'edit' },
      { action: 'resend', result: 1 },
      { action: 'resend', mayRepeat: 'yes' },
    ]) {
      expect(await act(id, change)).toMatchObject({ status: 400, body: { type: '/problems/invalid-request' } });
    }
    expect((await act('msg_x', { action: 'resend' })).status).toBe(404);
    expect((await act(await sagas.parkForward(), { action: 'retry' })).status).toBe(404);
    expect((await find(id))['actions']).toEqual([]);
  });

  test.each([
    [{ action: 'resend' }, true, 'confirmed'],
    [{ action: 'edit', payload: { amount: 14 } }, true, 'confirmed'],
    [{ action: 'skip', result: { by: 'hand' } }, true, 'delivered'],
    [{ action: 'discard' }, true, 'discarded'],
    [{ action: 'retry' }, false, 'prepared'],
    [{ action: 'confirm' }, false, 'confirmed'],
    [{ action: 'discard' }, false, 'rolled-back'],
  ])(
    '%j of a message (confirmed: %s) makes it %s, with an audit row and a word to its workflow',
    async (change, isConfirmed, state) => {
      const id = await parkMessage(api, { isConfirmed });
      expect(await act(id, change)).toMatchObject({
        status: 200,
        body: { kind: 'half-message', id, step: 'message', state },
      });
      expect(await find(id)).toMatchObject({
        state,
        parkReason: null,
        actions: [{ action: change.action, actor: 'ann' }],
      });
      expect(api.starter.operated.at(-1)).toMatchObject({ action: change.action, step: 'message' });
      const { rows } = await api.pool.query(
        `select before ->> 'state' as before, after ->> 'state' as after,
              (select xmin::text from settle.half_message m where m.id = a.subject_id) = (a.txid::text::bigint % 4294967296)::text as together
         from settle.operator_action a where subject_id = $1`,
        [id],
      );
      expect(rows).toEqual([{ before: 'parked', after: state, together: true }]);
      expect(await verifyOperatorActions(api.pool)).toEqual([]);
      expect((await act(id, change)).status).toBe(409);
    },
  );

  test('what is not legal is refused with what is', async () => {
    const id = await parkMessage(api);
    for (const action of ['retry', 'confirm', 'compensate']) {
      expect(await act(id, { action })).toMatchObject({
        status: 409,
        body: {
          type: '/problems/action-not-legal',
          legal: [{ step: 'message', actions: ['resend', 'edit', 'skip', 'discard'] }],
        },
      });
    }
  });

  test('of many operators one decides, and repeating an action brings its answer', async () => {
    const id = await parkMessage(api);
    const bodies = Array.from({ length: 8 }, (_, n) => actionBody({ action: n % 2 ? 'resend' : 'discard' }));
    const path = `/v1/messages/${id}/actions`;
    const answers = await Promise.all(bodies.map((body) => ask(api.url, path, { body })));
    const winner = answers.findIndex(({ status }) => status === 200);
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 7 }, () => 409)]);
    expect(await ask(api.url, path, { body: bodies[winner]! })).toEqual(answers[winner]);
    expect((await find(id))['actions']).toHaveLength(1);
  });

  test('an action stands while Temporal is away, and is due to be told', async () => {
    const id = await parkMessage(api);
    api.starter.isUp = false;
    expect((await act(id, { action: 'discard' })).status).toBe(202);
    api.starter.isUp = true;
    await api.pool.query(`update settle.operator_action set due_at = now() - interval '1 s' where subject_id = $1`, [
      id,
    ]);
    const due = await claimUndelivered(api.pool, 100);
    expect(due.filter(({ subjectId }) => subjectId === id)).toMatchObject([{ isSettled: true }]);
  });

  test("another tenant's message does not exist", async () => {
    const other = await startTestApi(database.url, { config: { apiKeys: new Map([['k', 'other']]) } });
    const id = await parkMessage(api);
    const body = actionBody({ action: 'resend' });
    expect((await ask(other.url, `/v1/messages/${id}/actions`, { body, key: 'k' })).status).toBe(404);
    expect((await ask<ParkedPage>(other.url, '/v1/parked', { key: 'k' })).body).toEqual({ items: [], next: null });
    await other.stop();
  });

  test('what participants may have forgotten is sent again only on the word that it may be repeated', async () => {
    const old = await parkMessage(api, { madeMs: Date.now() - 15 * DAY_MS });
    expect((await listed(`id=${old}`))[0]).toMatchObject({ mayRepeat: true });
    for (const change of [{ action: 'resend' }, { action: 'edit', payload: {} }]) {
      expect(await act(old, change)).toMatchObject({
        status: 409,
        body: {
          type: '/problems/may-repeat-effect',
          windowMs: 14 * DAY_MS,
          detail: expect.stringContaining('15.1 days old'),
        },
      });
    }
    expect(await act(old, { action: 'resend', mayRepeat: true })).toMatchObject({
      status: 200,
      body: { mayRepeat: true },
    });
    const { rows } = await api.pool.query('select may_repeat from settle.operator_action where subject_id = $1', [old]);
    expect(rows).toEqual([{ may_repeat: true }]);
    await api.pool.query(`begin; set local session_replication_role = replica;
      update settle.operator_action set may_repeat = false where subject_id = '${old}'; commit`);
    expect(await verifyOperatorActions(api.pool)).toMatchObject([{ problem: 'was changed' }]);
    const given = await parkMessage(api, { madeMs: Date.now() - 15 * DAY_MS });
    expect((await act(given, { action: 'discard' })).status).toBe(200);
  });
});
