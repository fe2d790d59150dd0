import { randomUUID } from 'node:crypto';
import { claimUndelivered, verifyOperatorActions } from '../../src/db/operator-actions.js';
import { useTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { parkedSagas, TENANT } from '../support/parked-sagas.js';

describe('the record of what operators do', () => {
  const database = useDatabase('producer');
  const api = useTestApi(database);
  const { parkBackward, act, message, audit } = parkedSagas(() => api);

  test('the same action id brings the same answer and changes nothing; with another body it is refused', async () => {
    const sagaId = await parkBackward();
    const action = { actionId: randomUUID(), action: 'retry' };
    const first = await act(sagaId, action);
    expect(await act(sagaId, action)).toEqual(first);
    expect(await act(sagaId, { ...action, reason: 'another' })).toMatchObject({
      status: 422,
      body: { type: '/problems/action-id-reused' },
    });
    expect(await act(await parkBackward(), action)).toMatchObject({ status: 422 });
    expect(await audit(sagaId)).toHaveLength(1);
    expect(await message(`${sagaId}/stock/undo`)).toMatchObject({ revision: 1 });
  });

  test('of many operators at the same moment one decides', async () => {
    const sagaId = await parkBackward();
    const actions = [{ action: 'retry' }, { action: 'skip' }, { action: 'resolve', outcome: 'compensated' }];
    const answers = await Promise.all(Array.from({ length: 12 }, (_, n) => act(sagaId, actions[n % 3]!)));
    expect(answers.map(({ status }) => status).sort()).toEqual([200, ...Array.from({ length: 11 }, () => 409)]);
    expect(await audit(sagaId)).toHaveLength(1);
  });

  test('the audit row and the change of the ledger are one transaction, with what was before and after', async () => {
    const sagaId = await parkBackward();
    await act(sagaId, { action: 'resolve', outcome: 'compensated' });
    const [row] = await audit(sagaId);
    expect(row).toMatchObject({
      ...{ actor: 'ann', reason: 'called the warehouse', action: 'resolve', step: 'stock', tenant_id: TENANT },
      before: { state: 'parked', message: { status: 'dead' }, parked: { stock: { code: 'closed' } } },
      after: {
        state: 'compensated',
        reason: { code: 'resolved-manually' },
        parked: {},
        message: { status: 'withdrawn' },
      },
    });
    expect(row!['request_id']).toMatch(/^[\da-f-]{36}$/);
    const { rows } = await api.pool.query(
      `select (select xmin::text from settle.saga where id = $1) = (txid::text::bigint % 4294967296)::text as together
         from settle.operator_action where subject_id = $1`,
      [sagaId],
    );
    expect(rows).toEqual([{ together: true }]);
  });

  test('an action stands while Temporal is away, and is due to be told until it has been', async () => {
    const sagaId = await parkBackward();
    const action = { actionId: randomUUID(), action: 'retry' };
    api.starter.isUp = false;
    const first = await act(sagaId, action);
    expect(first.status).toBe(202);
    await api.pool.query(`update settle.operator_action set due_at = now() - interval '1 s' where id = $1`, [
      action.actionId,
    ]);
    const due = await claimUndelivered(api.pool, 100);
    expect(due.filter((each) => each.subjectId === sagaId)).toMatchObject([
      { tenantId: TENANT, isSettled: false, operation: { actionId: action.actionId, action: 'retry', step: 'stock' } },
    ]);
    api.starter.isUp = true;
    expect(await act(sagaId, action)).toEqual({ status: 200, body: first.body });
    expect((await audit(sagaId))[0]).toMatchObject({ delivered_at: expect.any(Date), due_at: null });
  });

  test('history cannot be changed in passing, and a change behind its back shows', async () => {
    const sagaId = await parkBackward();
    await act(sagaId, { action: 'retry' });
    expect(await verifyOperatorActions(api.pool)).toEqual([]);
    const change = `update settle.operator_action set actor = 'nobody' where subject_id = '${sagaId}'`;
    await expect(api.pool.query(change)).rejects.toThrow('stays as it is');
    await expect(api.pool.query(`delete from settle.operator_action where subject_id = '${sagaId}'`)).rejects.toThrow(
      'stays as it is',
    );
    await api.pool.query(`begin; set local session_replication_role = replica; ${change}; commit`);
    expect(await verifyOperatorActions(api.pool)).toMatchObject([{ problem: 'was changed' }]);
    await api.pool.query(`begin; set local session_replication_role = replica;
      update settle.operator_action set actor = 'ann' where subject_id = '${sagaId}';
      delete from settle.operator_action where seq = 2; commit`);
    expect(await verifyOperatorActions(api.pool)).toMatchObject([
      { seq: 3, problem: 'does not follow the one before it' },
    ]);
  });
});
