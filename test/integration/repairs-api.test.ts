import { createRepairActivities } from '../../activities/repairs.js';
import type { RepairView } from '../../src/api/repair-schemas.js';
import { claimDueRepairs } from '../../src/db/repair-work.js';
import { verifyOperatorActions } from '../../src/db/operator-actions.js';
import { DEFAULT_WINDOWS } from '../../src/saga/windows.js';
import { startTestApi, useTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { actionBody, ask, parkMessage, type ParkedMessage } from '../support/parked-messages.js';
import { parkedSagas } from '../support/parked-sagas.js';

const DAY_MS = 86_400_000;
const beat = (): void => undefined;

describe('repairs', () => {
  const database = useDatabase('producer');
  const api = useTestApi(database);
  const sagas = parkedSagas(() => api);

  type Answer = Promise<{ status: number; body: RepairView }>;
  const preview = (code: string, change: object = {}): Answer =>
    ask(api.url, '/v1/repairs', {
      body: { query: { reason: code }, action: 'resend', actor: 'ann', reason: 'they are back', ...change },
    });
  const get = (repairId: string, query = ''): Answer => ask(api.url, `/v1/repairs/${repairId}${query}`);
  const confirm = ({ repairId, etag, count }: RepairView, change: object = {}): Answer =>
    ask(api.url, `/v1/repairs/${repairId}/confirm`, { body: { etag, count, ...change } });
  const cancel = (repairId: string): Answer => ask(api.url, `/v1/repairs/${repairId}/cancel`, { body: {} });
  const park = (count: number, message: ParkedMessage): Promise<string[]> =>
    Promise.all(Array.from({ length: count }, () => parkMessage(api, message)));
  const actionsOn = async (ids: readonly string[]): Promise<number> => {
    const text = 'select count(*) as n from settle.operator_action where subject_id = any($1)';
    return (await api.pool.query<{ n: number }>(text, [ids])).rows[0]!.n;
  };
  /** What the workflow does, second by second. */
  const run = async (repairId: string, limit = 100): Promise<number> => {
    const restarter = { operate: () => Promise.resolve('resumed' as const) };
    const { repairItems } = createRepairActivities({
      ...{ pool: api.pool, restarter, beat },
      windowMs: DEFAULT_WINDOWS.manualMs,
    });
    let seconds = 1;
    while (!(await repairItems({ repairId, limit }))) seconds += 1;
    return seconds;
  };

  test('a preview names the exact calls and does nothing; confirmed, these calls are made and no other', async () => {
    const ids = await park(3, { code: 'exact' });
    const { status, body: planned } = await preview('exact');
    expect(status).toBe(201);
    expect(planned).toMatchObject({
      ...{ state: 'previewed', action: 'resend', actor: 'ann', perSecond: 10, count: 3, refused: 0, mayRepeat: 0 },
      ...{ progress: { planned: 3, done: 0, skipped: 0 }, confirmedAt: null, next: null },
    });
    expect(planned.items.map(({ id }) => id).sort()).toEqual([...ids].sort());
    for (const { position, id, effectKey, actionId } of planned.items) {
      expect([effectKey, actionId]).toEqual([`${id}/message/do`, `${planned.repairId}/${position}`]);
    }
    expect([await run(planned.repairId), await actionsOn(ids)]).toEqual([1, 0]);
    const [late] = await park(1, { code: 'exact' });
    expect(await confirm(planned)).toMatchObject({ status: 202, body: { state: 'running' } });
    expect(api.repairs).toContain(planned.repairId);
    await run(planned.repairId);
    const { body: done } = await get(planned.repairId);
    expect(done).toMatchObject({
      state: 'done',
      progress: { planned: 0, done: 3, skipped: 0 },
      finishedAt: expect.any(String),
    });
    expect(done.items.map(({ status: each, state }) => [each, state])).toEqual(Array(3).fill(['done', 'confirmed']));
    expect([await actionsOn(ids), await actionsOn([late!])]).toEqual([3, 0]);
    const { rows } = await api.pool.query(
      `select distinct actor, reason, request_id from settle.operator_action where subject_id = any($1)`,
      [ids],
    );
    expect(rows).toEqual([{ actor: 'ann', reason: 'they are back', request_id: planned.repairId }]);
    expect(await verifyOperatorActions(api.pool)).toEqual([]);
  });

  test('what is confirmed is what was previewed; repeating it changes nothing', async () => {
    await park(1, { code: 'etag' });
    const [{ body: planned }, { body: other }] = [await preview('etag'), await preview('etag')];
    for (const change of [{ etag: other.etag }, { count: 2 }]) {
      expect(await confirm(planned, change)).toMatchObject({
        status: 409,
        body: { type: '/problems/repair-not-as-previewed', etag: planned.etag, count: 1 },
      });
    }
    const answers = await Promise.all(Array.from({ length: 6 }, () => confirm(planned)));
    expect(answers.map(({ status }) => status)).toEqual(Array(6).fill(202));
    expect(api.repairs.filter((id) => id === planned.repairId)).toHaveLength(1);
    await run(planned.repairId);
    expect(await confirm(planned)).toMatchObject({ status: 202, body: { state: 'done' } });
  });

  test('items that have changed since the preview are left alone, with the reason', async () => {
    const [touched, parkedAgain, same] = await park(3, { code: 'moved' });
    const { body: planned } = await preview('moved');
    const act = (id: string, action: string): Promise<unknown> =>
      ask(api.url, `/v1/messages/${id}/actions`, { body: actionBody({ action }) });
    await act(touched!, 'discard');
    await api.pool.query(`update settle.half_message set updated_at = now(), revision = 1 where id = $1`, [
      parkedAgain,
    ]);
    await confirm(planned);
    await run(planned.repairId);
    const { body: done } = await get(planned.repairId);
    expect(done.progress).toEqual({ planned: 0, done: 1, skipped: 2 });
    const of = (id: string): unknown => done.items.find((item) => item.id === id);
    expect(of(touched!)).toMatchObject({ status: 'skipped', reason: { code: 'changed' }, state: 'discarded' });
    expect(of(parkedAgain!)).toMatchObject({ status: 'skipped', reason: { code: 'changed' }, state: 'parked' });
    expect(of(same!)).toMatchObject({ status: 'done' });
    expect((await get(planned.repairId, '?status=skipped')).body.items).toHaveLength(2);
  });

  test('however often its workflow begins anew, each item is acted on once', async () => {
    const ids = await park(12, { code: 'twice' });
    const { body: planned } = await preview('twice');
    await confirm(planned);
    await Promise.all([run(planned.repairId, 5), run(planned.repairId, 5), run(planned.repairId, 5)]);
    // as if the process had died between the action and its record
    await api.pool.query(
      `update settle.repair_item set status = 'planned', state = null where repair_id = $1 and position < 4`,
      [planned.repairId],
    );
    await api.pool.query(
      `update settle.repair set state = 'running', finished_at = null, due_at = now() where id = $1`,
      [planned.repairId],
    );
    await run(planned.repairId);
    expect((await get(planned.repairId)).body).toMatchObject({ state: 'done', progress: { done: 12, skipped: 0 } });
    expect(await actionsOn(ids)).toBe(12);
  });

  test('a cancel holds from the next call on, and what is over cannot be cancelled', async () => {
    const ids = await park(6, { code: 'stop' });
    const { body: planned } = await preview('stop');
    await confirm(planned);
    const restarter = { operate: () => Promise.resolve('resumed' as const) };
    const { repairItems } = createRepairActivities({
      ...{ pool: api.pool, restarter, beat },
      windowMs: DEFAULT_WINDOWS.manualMs,
    });
    expect(await repairItems({ repairId: planned.repairId, limit: 2 })).toBe(false);
    expect(await cancel(planned.repairId)).toMatchObject({ status: 202, body: { state: 'cancelled' } });
    expect(await repairItems({ repairId: planned.repairId, limit: 2 })).toBe(true);
    expect(await cancel(planned.repairId)).toMatchObject({ status: 202, body: { progress: { planned: 4, done: 2 } } });
    expect(await confirm(planned)).toMatchObject({ status: 409, body: { type: '/problems/repair-ended' } });
    expect(await actionsOn(ids)).toBe(2);
    const { body: done } = await preview('nothing-has-this');
    expect(await confirm(done)).toMatchObject({ status: 202, body: { count: 0 } });
    await run(done.repairId);
    expect(await cancel(done.repairId)).toMatchObject({ status: 409, body: { type: '/problems/repair-ended' } });
  });

  test('what may not be done is shown with why, and never tried', async () => {
    const backward = await sagas.parkBackward();
    const { body } = await preview('closed', { action: 'compensate', query: { reason: 'closed', kind: 'saga' } });
    expect(body).toMatchObject({
      ...{ count: 0, refused: 1 },
      items: [{ id: backward, step: 'stock', status: 'refused', reason: { code: 'action-not-legal' } }],
    });
    const forward = await sagas.parkForward();
    const given = { action: 'skip', query: { id: forward } };
    expect((await preview('', { ...given, result: { reservationId: 7 } })).body.items).toMatchObject([
      {
        status: 'refused',
        reason: { code: 'invalid-request', message: expect.stringContaining('/result/reservationId') },
      },
    ]);
    const { body: planned } = await preview('', { ...given, result: { reservationId: 'r-7' } });
    expect(planned.items).toMatchObject([{ effectKey: `${forward}/stock/do`, status: 'planned' }]);
    await confirm(planned);
    await run(planned.repairId);
    expect(await sagas.message(`${forward}/stock/do`)).toMatchObject({
      status: 'sent',
      result: { reservationId: 'r-7' },
    });
  });

  test('what may repeat its effect is refused, or flagged when a person takes the risk', async () => {
    await park(2, { code: 'old', madeMs: Date.now() - 20 * DAY_MS });
    await park(1, { code: 'old' });
    const { body: careful } = await preview('old');
    expect(careful).toMatchObject({ count: 1, refused: 2, mayRepeat: 0 });
    expect(careful.items.filter(({ mayRepeat }) => mayRepeat)).toMatchObject([
      { status: 'refused', reason: { code: 'may-repeat-effect' } },
      { status: 'refused', reason: { code: 'may-repeat-effect' } },
    ]);
    const { body: bold } = await preview('old', { mayRepeat: true });
    expect(bold).toMatchObject({ count: 3, refused: 0, mayRepeat: 2, arguments: { mayRepeat: true } });
    await confirm(bold);
    await run(bold.repairId);
    expect((await get(bold.repairId)).body.progress).toMatchObject({ done: 3 });
  });

  test('a repair of thousands is previewed, paged and run', async () => {
    await api.pool.query(
      `insert into settle.half_message (id, tenant_id, idempotency_key, request_hash, type, payload, check_back_url, plan, state,
                                        verdict, decided_by, decided_at, park_reason, due_at)
       select 'msg_0198c5a0-7e1c-7' || lpad(to_hex(n), 3, '0') || '-8000-000000000000', 'default', 'many-' || n, '', 'notes.write',
              '{}', '', '{}', 'parked', 'committed', 'producer', now(), '{"code": "many", "message": "no"}', now()
         from generate_series(1, 2500) as n`,
    );
    const { body } = await preview('many', { mayRepeat: true, query: { reason: 'many', limit: 2_000 } });
    expect([body.count, body.mayRepeat, body.items.length]).toEqual([2_000, 2_000, 50]);
    const seen = new Set<string>();
    for (let next: string | null = ''; next !== null;) {
      const page: RepairView = (await get(body.repairId, `?limit=200${next === '' ? '' : `&cursor=${next}`}`)).body;
      for (const { id } of page.items) seen.add(id);
      next = page.next;
    }
    expect(seen.size).toBe(2_000);
  });

  test('the scan finds repairs that run, and no other', async () => {
    await park(1, { code: 'due' });
    const [{ body: waiting }, { body: running }] = [await preview('due'), await preview('due')];
    await confirm(running);
    await api.pool.query(`update settle.repair set due_at = now() - interval '1 s' where due_at is not null`);
    const due = (await claimDueRepairs(api.pool, 100)).map(({ repairId }) => repairId);
    expect([due.includes(running.repairId), due.includes(waiting.repairId)]).toEqual([true, false]);
    expect((await claimDueRepairs(api.pool, 100)).map(({ repairId }) => repairId)).not.toContain(running.repairId);
  });

  test('bad input is refused, and nothing is stored', async () => {
    const { rows: before } = await api.pool.query('select count(*) from settle.repair');
    for (const change of [
      ...[
        { action: 'explode' },
        { actor: '' },
        { reason: undefined },
        { perSecond: 0 },
        { perSecond: 101 },
        { surprise: 1 },
      ],
      ...[
        { query: undefined },
        { query: { state: 'running' } },
        { query: { limit: 10_001 } },
        { query: { olderThanMs: -1 } },
      ],
      ...[{ query: { tenant: 'other' } }, { query: { reason: 'a\0' } }, { action: 'resolve' }, { action: 'edit' }],
      ...[{ outcome: 'completed' }, { mayRepeat: 'true' }],
    ]) {
      expect(await preview('x', change)).toMatchObject({ status: 400, body: { type: '/problems/invalid-request' } });
    }
    expect((await api.pool.query('select count(*) from settle.repair')).rows).toEqual(before);
    const { body: planned } = await preview('x');
    for (const body of [{}, { etag: planned.etag }, { etag: planned.etag, count: -1 }, { etag: '', count: 0 }]) {
      expect((await ask(api.url, `/v1/repairs/${planned.repairId}/confirm`, { body })).status).toBe(400);
    }
    for (const query of ['?limit=0', '?cursor=bm8', '?status=x', '?surprise=1']) {
      expect((await get(planned.repairId, query)).status).toBe(400);
    }
    for (const id of ['rp_x', 'rp_0198c5a0-7e1c-7000-8000-000000000001']) {
      expect([
        (await get(id)).status,
        (await confirm({ ...planned, repairId: id })).status,
        (await cancel(id)).status,
      ]).toEqual([404, 404, 404]);
    }
  });

  test("another tenant's repair does not exist, and its items are not found", async () => {
    const other = await startTestApi(database.url, { config: { apiKeys: new Map([['k', 'other']]) } });
    await park(1, { code: 'theirs' });
    const { body: ours } = await preview('theirs');
    const body = { query: { reason: 'theirs' }, action: 'resend', actor: 'eve', reason: 'curious' };
    expect(await ask(other.url, '/v1/repairs', { body, key: 'k' })).toMatchObject({
      status: 201,
      body: { count: 0, refused: 0 },
    });
    const path = `/v1/repairs/${ours.repairId}`;
    expect((await ask(other.url, path, { key: 'k' })).status).toBe(404);
    expect((await ask(other.url, `${path}/confirm`, { body: { etag: ours.etag, count: 1 }, key: 'k' })).status).toBe(
      404,
    );
    expect((await ask(other.url, `${path}/cancel`, { body: {}, key: 'k' })).status).toBe(404);
    await other.stop();
  });
});
