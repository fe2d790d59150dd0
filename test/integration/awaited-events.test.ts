import type { SagaView } from '../../src/api/schemas.js';
import { lookForEvent } from '../../src/db/awaited-events.js';
import { withTransaction } from '../../src/db/pool.js';
import { settleSaga } from '../../src/db/saga-end.js';
import { claimDueSagas } from '../../src/db/saga-scan.js';
import { recordState } from '../../src/db/saga-store.js';
import { FencedError } from '../../src/saga/errors.js';
import { postOrder, startTestApi, type TestApi } from '../support/api.js';
import { acceptApproved, APPROVAL, approvalWait, sendEvent } from '../support/awaited-events.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';

const database = useDatabase('producer');
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi(database.url);
});
afterAll(() => api.stop());

const reason = { code: 'cancelled', message: 'changed my mind' };
const accept = (): Promise<string> => acceptApproved(api);
const view = async (sagaId: string): Promise<SagaView> =>
  (await (await fetch(`${api.url}/v1/sagas/${sagaId}`)).json()) as SagaView;
const cancel = (sagaId: string): Promise<Response> => fetch(`${api.url}/v1/sagas/${sagaId}/cancel`, { method: 'POST' });

describe('an event is recorded before its saga is told', () => {
  test('it may come before the saga waits for it, and the saga finds it when it does', async () => {
    const sagaId = await accept();
    const answer = await sendEvent(api, sagaId);
    expect(answer).toMatchObject({ status: 202, body: { sagaId, event: 'order-approved' } });
    expect(api.starter.told).toContain(sagaId);
    expect(await lookForEvent(api.pool, approvalWait(sagaId))).toEqual({ isOpen: false, answer: APPROVAL });
    expect(await lookForEvent(api.pool, approvalWait(sagaId))).toEqual({ isOpen: false, answer: APPROVAL });
  });

  test('a saga that waits shows it, and goes on with what comes', async () => {
    const sagaId = await accept();
    const look = await lookForEvent(api.pool, approvalWait(sagaId));
    expect(look).toMatchObject({ isOpen: true, leftMs: expect.any(Number) });
    const saga = await view(sagaId);
    expect(saga).toMatchObject({
      ...{ state: 'running', parent: null },
      waitingFor: { kind: 'event', step: 'approval', name: 'order-approved' },
    });
    expect(Date.parse(saga.waitingFor!.until!) - Date.parse(saga.waitingFor!.since)).toBe(1_800_000);
    expect(saga.steps[2]).toMatchObject({
      name: 'approval',
      type: 'wait',
      status: 'waiting',
      attempts: 0,
      child: null,
    });
    await sendEvent(api, sagaId);
    expect(await lookForEvent(api.pool, approvalWait(sagaId))).toEqual({ isOpen: false, answer: APPROVAL });
    expect(await view(sagaId)).toMatchObject({ waitingFor: null });
    expect((await view(sagaId)).steps[2]).toMatchObject({ status: 'done', finishedAt: expect.any(String) });
  });

  test('while Temporal is away it is recorded all the same, and the scan tells it', async () => {
    const sagaId = await accept();
    api.starter.isUp = false;
    expect(await sendEvent(api, sagaId)).toMatchObject({ status: 202 });
    api.starter.isUp = true;
    const due = await eventually(async () => {
      const found = (await claimDueSagas(api.pool, 100)).find(({ id }) => id === sagaId);
      expect(found).toBeDefined();
      return found!;
    });
    expect(due.hasNews).toBe(true);
    await lookForEvent(api.pool, approvalWait(sagaId));
    await api.pool.query('update settle.saga set due_at = now() where id = $1', [sagaId]);
    const again = (await claimDueSagas(api.pool, 100)).find(({ id }) => id === sagaId);
    expect(again).toMatchObject({ hasNews: false });
  });

  test('of many at the same moment with different bodies one counts, and each is told so', async () => {
    const sagaId = await accept();
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, n) => sendEvent(api, sagaId, { body: { ...APPROVAL, account: `c-${n}` } })),
    );
    const accepted = answers.findIndex(({ status }) => status === 202);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(11);
    for (const { status, body } of answers.filter((answer) => answer.status === 409)) {
      expect({ status, body }).toMatchObject({ body: { type: '/problems/event-decided' } });
    }
    expect(await lookForEvent(api.pool, approvalWait(sagaId))).toMatchObject({ answer: { account: `c-${accepted}` } });
  });

  test('the same body again brings the same answer, however it is written, also when the saga has settled', async () => {
    const sagaId = await accept();
    const first = await sendEvent(api, sagaId);
    expect(first.headers.get('idempotent-replayed')).toBeNull();
    const answers = await Promise.all([
      ...Array.from({ length: 8 }, () => sendEvent(api, sagaId)),
      sendEvent(api, sagaId, { body: '{ "account":"c-1" , "approvedBy":"ann" }' }),
    ]);
    await settleSaga(api.pool, { sagaId, outcome: 'compensated', reason });
    for (const { status, body, headers } of [...answers, await sendEvent(api, sagaId)]) {
      expect({ status, body }).toEqual({ status: 202, body: first.body });
      expect(headers.get('idempotent-replayed')).toBe('true');
    }
  });
});

describe('an event that is not wanted changes nothing', () => {
  test.each([
    ['no body', '', 400, 'invalid-request'],
    ['no JSON', '{', 400, 'invalid-json'],
    ['null', 'null', 400, 'invalid-request'],
    ['an array', [], 400, 'invalid-request'],
    ['a member missing', { approvedBy: 'ann' }, 400, 'invalid-request'],
    ['a member too many', { ...APPROVAL, amount: 1 }, 400, 'invalid-request'],
    ['a number for a text', { ...APPROVAL, account: 1 }, 400, 'invalid-request'],
    ['NUL', { ...APPROVAL, account: 'c-\0' }, 400, 'invalid-request'],
    ['a lone surrogate', { ...APPROVAL, account: 'c-\ud800' }, 400, 'invalid-request'],
    ['__proto__', '{"__proto__":{},"approvedBy":"a","account":"c"}', 400, 'invalid-json'],
    ['too much', { ...APPROVAL, account: 'x'.repeat(70_000) }, 413, 'body-too-large'],
  ])('with %s', async (_name, body, status, type) => {
    const sagaId = await accept();
    expect(await sendEvent(api, sagaId, { body })).toMatchObject({ status, body: { type: `/problems/${type}` } });
    const { rows } = await api.pool.query('select 1 from settle.awaited_event where saga_id = $1', [sagaId]);
    expect(rows).toEqual([]);
  });

  test('one that the plan does not wait for is answered with those that it does', async () => {
    const sagaId = await accept();
    for (const name of ['paid', 'approval', 'ORDER-APPROVED', '%00', encodeURIComponent("'; drop table x")]) {
      expect(await sendEvent(api, sagaId, { name })).toMatchObject({
        ...{ status: 404, body: { type: '/problems/unknown-event', events: ['order-approved'] } },
      });
    }
    const plain = (await (await postOrder(api.url)).json()) as { sagaId: string };
    expect(await sendEvent(api, plain.sagaId)).toMatchObject({ status: 404, body: { events: [] } });
  });

  test.each(['sg_0198c5a0-7e1c-7000-8000-000000000001', 'nonsense', '%2e%2e'])('for saga %s', async (sagaId) => {
    expect(await sendEvent(api, sagaId)).toMatchObject({ status: 404, body: { type: '/problems/not-found' } });
  });

  test('for a saga that has settled', async () => {
    const sagaId = await accept();
    await settleSaga(api.pool, { sagaId, outcome: 'compensated', reason });
    expect(await sendEvent(api, sagaId)).toMatchObject({
      ...{ status: 409, body: { type: '/problems/saga-settled', state: 'compensated' } },
    });
  });

  test('for a saga that compensates', async () => {
    const sagaId = await accept();
    await withTransaction(api.pool, (tx) => recordState(tx, { sagaId, state: 'compensating', reason }));
    expect(await sendEvent(api, sagaId)).toMatchObject({
      ...{ status: 409, body: { type: '/problems/event-too-late', reason } },
    });
  });
});

describe('the ledger decides', () => {
  test('a wait begins once, and an event after its end is too late for ever', async () => {
    const sagaId = await accept();
    const brief = approvalWait(sagaId, { withinMs: 1 });
    await lookForEvent(api.pool, brief).catch(() => undefined);
    await eventually(async () => {
      await expect(lookForEvent(api.pool, brief)).rejects.toMatchObject({ code: 'event-timed-out' });
    });
    expect(await sendEvent(api, sagaId)).toMatchObject({ status: 409, body: { reason: { code: 'event-timed-out' } } });
    await expect(lookForEvent(api.pool, approvalWait(sagaId))).rejects.toMatchObject({ code: 'event-timed-out' });
    expect((await view(sagaId)).steps[2]).toMatchObject({ status: 'rejected' });
  });

  test('after the pivot a wait that has timed out can be asked again, and takes an event that comes late', async () => {
    const sagaId = await accept();
    const brief = approvalWait(sagaId, { withinMs: 1, isFinal: false });
    await lookForEvent(api.pool, brief).catch(() => undefined);
    await eventually(async () => {
      await expect(lookForEvent(api.pool, brief)).rejects.toMatchObject({ code: 'event-timed-out' });
    });
    expect(await sendEvent(api, sagaId)).toMatchObject({ status: 202 });
    expect(await lookForEvent(api.pool, brief)).toEqual({ isOpen: false, answer: APPROVAL });
  });

  test('between an event and the timeout: exactly one of them is so', async () => {
    for (let round = 0; round < 20; round += 1) {
      const sagaId = await accept();
      const wait = approvalWait(sagaId, { withinMs: 1 });
      const [look, event] = await Promise.all([
        lookForEvent(api.pool, wait)
          .then(() => lookForEvent(api.pool, wait))
          .then(
            ({ isOpen }) => (isOpen ? 'open' : 'received'),
            () => 'timed-out',
          ),
        sendEvent(api, sagaId),
      ]);
      expect(['received 202', 'timed-out 409', 'open 202']).toContain(`${look} ${event.status}`);
    }
  });

  test('a cancel that was accepted first refuses the event, and the wait', async () => {
    const sagaId = await accept();
    await lookForEvent(api.pool, approvalWait(sagaId));
    expect((await cancel(sagaId)).status).toBe(202);
    expect(await sendEvent(api, sagaId)).toMatchObject({
      ...{ status: 409, body: { type: '/problems/event-too-late', reason: { code: 'cancelled' } } },
    });
    await expect(lookForEvent(api.pool, approvalWait(sagaId))).rejects.toBeInstanceOf(FencedError);
  });

  test('between an event and a cancel: whichever comes first, a saga whose cancel was accepted does not complete', async () => {
    for (let round = 0; round < 20; round += 1) {
      const sagaId = await accept();
      await lookForEvent(api.pool, approvalWait(sagaId));
      const [event, cancelled] = await Promise.all([sendEvent(api, sagaId), cancel(sagaId)]);
      expect(cancelled.status).toBe(202);
      expect([202, 409]).toContain(event.status);
      await expect(settleSaga(api.pool, { sagaId, outcome: 'completed' })).rejects.toMatchObject({
        reason: { code: 'cancelled' },
      });
    }
  });
});

test('one tenant cannot tell another tenant’s saga anything, nor see what it waits for', async () => {
  const apiKeys = new Map([
    ['key-of-red', 'red'],
    ['key-of-blue', 'blue'],
  ]);
  const closed = await startTestApi(database.url, { config: { apiKeys } });
  const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });
  try {
    const sagaId = await acceptApproved(closed, as('key-of-red'));
    const foreign = await sendEvent(closed, sagaId, { headers: as('key-of-blue') });
    expect(foreign).toMatchObject({ status: 404, body: { type: '/problems/not-found' } });
    expect(JSON.stringify(foreign.body)).not.toContain('order-approved');
    expect(await sendEvent(closed, sagaId)).toMatchObject({ status: 401 });
    expect(await sendEvent(closed, sagaId, { headers: as('key-of-red') })).toMatchObject({ status: 202 });
  } finally {
    await closed.stop();
  }
});
