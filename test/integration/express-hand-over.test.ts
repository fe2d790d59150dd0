import type { ExpressLedger } from '../../activities/express-lane.js';
import { settleExpress } from '../../src/db/express.js';
import { claimMessage } from '../../src/db/message-log.js';
import { claimDueSagas, countWaiting } from '../../src/db/saga-scan.js';
import { requestCancel } from '../../src/db/saga-cancel.js';
import { eventually } from '../support/eventually.js';
import { newPayment, newRegistration, useExpress } from '../support/express.js';
import { newSaga } from '../support/sagas.js';

const express = useExpress();

const REASON = { code: 'cancelled', message: 'no longer wanted' };
const REFUSED = { status: 409, body: { code: 'no', detail: 'not today' } };

test('what a participant refuses is handed over: the workflow finds every answer, and nothing that was not sent counts as begun', async () => {
  express.participant.answers.set('accounts.debit', REFUSED);
  const { id } = (await express.lane.accept(newSaga()))!;
  await express.untilEnded('rejected');
  expect(await express.messagesOf(id)).toMatchObject([
    { step: 'stock', status: 'sent', attempts: 1, result: { reservationId: 'r-1' } },
    { step: 'payment', status: 'rejected', attempts: 1, code: 'no', isBegun: true },
  ]);
  expect(express.lane.started.map((saga) => saga.id)).toEqual([id]);
  expect(await express.sagaOf(id)).toMatchObject({ state: 'running', hasLease: false, isDue: true });
  expect(await express.begunBy(id)).toEqual(['order', 'stock']);
});

test.each([
  ['that has no outcome', 'unknown', { status: 503 }, 'HTTP 503'],
  [
    'that breaks its contract',
    'unknown',
    { status: 200, body: { nonsense: true } },
    expect.stringContaining('contract'),
  ],
  ['that asks for time', 'working', { status: 202 }, 'still being worked on'],
  ['that says its key was used', 'unknown', { status: 409, body: { code: 'effect-key-reused' } }, expect.anything()],
])(
  'promise 6: an answer %s hands the saga over, and that step counts as perhaps applied',
  async (_, ending, answer, error) => {
    express.participant.answers.set('inventory.deduct', answer);
    const { id } = (await express.lane.accept(newSaga()))!;
    await express.untilEnded(ending);
    expect(await express.messagesOf(id)).toMatchObject([
      { step: 'stock', status: 'pending', attempts: 1, error, isBegun: true },
      { step: 'payment', status: 'pending', attempts: 0, error: null, isBegun: false },
    ]);
    expect(express.lane.started).toHaveLength(1);
    expect(await express.begunBy(id)).toEqual(['order', 'stock']);
  },
);

test('promise 6: a cancel that was accepted on the way holds: the saga does not complete, and all that was begun is taken back', async () => {
  const release = express.participant.hold('inventory.deduct');
  const { id } = (await express.lane.accept(newSaga()))!;
  await eventually(() => {
    expect(express.participant.received).toHaveLength(1);
  });
  expect(await requestCancel(express.pool, { tenantId: 'default', sagaId: id, reason: REASON })).toBe('requested');
  release();
  await express.untilEnded('stopped');
  expect(await express.sagaOf(id)).toMatchObject({ state: 'compensating', reason: REASON });
  expect(await express.begunBy(id)).toEqual(['order', 'payment', 'stock']);
  expect(express.lane.started).toHaveLength(1);
});

test('a cancel on the way keeps a saga from its pivot', async () => {
  const release = express.participant.hold('accounts.reserve');
  const { id } = (await express.lane.accept(newPayment('i-1')))!;
  await eventually(() => {
    expect(express.participant.received).toHaveLength(1);
  });
  await requestCancel(express.pool, { tenantId: 'default', sagaId: id, reason: REASON });
  release();
  await express.untilEnded('stopped');
  expect(express.participant.received).toEqual([`${id}/reservation/do`]);
  expect(await express.sagaOf(id)).toMatchObject({ state: 'compensating', reason: REASON });
});

test('promise 6: what cannot be taken back counts as begun only when it is sent, so that a saga can still compensate', async () => {
  express.participant.answers.set('preferences.create', REFUSED);
  const { id } = (await express.lane.accept(newRegistration('alice')))!;
  await express.untilEnded('rejected');
  expect(await express.messagesOf(id)).toMatchObject([
    { step: 'profile', status: 'sent' },
    { step: 'preferences', status: 'rejected' },
    { step: 'credit', status: 'sent' },
    { step: 'welcome', status: 'pending', attempts: 0, isBegun: false },
  ]);
  expect(await express.begunBy(id)).toEqual(['credit', 'profile', 'user']);
});

const countHandedOver = async (): Promise<number> => {
  const { waiting, handedOver } = await countWaiting(express.pool, 1_000);
  expect(waiting).toBeGreaterThanOrEqual(handedOver);
  return handedOver;
};

test('a saga that was handed over counts as waiting for Temporal until its workflow begins a step', async () => {
  express.participant.answers.set('inventory.deduct', { status: 503 });
  const before = await countHandedOver();
  const { id } = (await express.lane.accept(newSaga()))!;
  expect(await countHandedOver()).toBe(before);
  await express.untilEnded('unknown');
  expect(await countHandedOver()).toBe(before + 1);
  const effect = { sagaId: id, step: 'stock', action: 'do' } as const;
  await claimMessage(express.pool, { effect, tenantId: 'default', type: 'inventory.deduct', payload: {} });
  expect(await countHandedOver()).toBe(before);
});

test('a lane that closes begins no more steps, and hands over what is under way', async () => {
  const release = express.participant.hold('inventory.deduct');
  const { id } = (await express.lane.accept(newSaga()))!;
  await eventually(() => {
    expect(express.participant.received).toHaveLength(1);
  });
  const stopped = express.lane.stop();
  release();
  await stopped;
  expect(express.lane.count('closing')).toBe(1);
  expect(await express.messagesOf(id)).toMatchObject([
    { step: 'stock', status: 'sent' },
    { step: 'payment', status: 'pending', attempts: 0 },
  ]);
  expect(await express.lane.accept(newSaga())).toBeUndefined();
});

/** A ledger that fails where it is told to, once it has done what it was asked for. */
const losing = (name: 'settle' | 'handOver'): Partial<ExpressLedger> => ({
  [name]: () => Promise.reject(new Error('the answer is lost')),
});

test('a saga whose settling was lost is handed over, and completes once however often it is tried', async () => {
  await express.reopen({
    settle: async (ends) => {
      await settleExpress(express.pool, ends);
      throw new Error('the answer is lost');
    },
  });
  const settled = (await express.lane.accept(newSaga()))!;
  await express.untilEnded('ledger');
  expect(await express.sagaOf(settled.id)).toMatchObject({ state: 'completed', events: ['running', 'completed'] });
  expect(express.lane.started).toEqual([]);
  await express.reopen(losing('settle'));
  const open = (await express.lane.accept(newSaga()))!;
  await express.untilEnded('ledger');
  expect(await express.messagesOf(open.id)).toMatchObject([{ status: 'sent' }, { status: 'sent' }]);
  expect(express.lane.started.map(({ id }) => id)).toEqual([open.id]);
});

test('promise 1: a saga that could not even be handed over is started by the ledger scan when its lease is over', async () => {
  await express.reopen({ ...losing('settle'), ...losing('handOver') });
  const { id } = (await express.lane.accept(newSaga()))!;
  await express.untilEnded('ledger');
  expect(express.lane.errors).toHaveLength(1);
  await requestCancel(express.pool, { tenantId: 'default', sagaId: id, reason: REASON });
  const { rows } = await express.pool.query('select due_at >= leased_until as held from settle.saga where id = $1', [
    id,
  ]);
  expect(rows).toEqual([{ held: true }]);
  await express.pool.query(`update settle.saga set leased_until = now(), due_at = now() where id = $1`, [id]);
  const waiting = await countHandedOver();
  expect((await claimDueSagas(express.pool, 200)).map((saga) => saga.id)).toContain(id);
  expect(await countHandedOver()).toBe(waiting + 1);
  // the process has come back: it neither completes the saga nor touches what the workflow has found
  expect(await settleExpress(express.pool, [{ sagaId: id, answers: [] }])).toEqual(new Set());
  expect(await express.begunBy(id)).toEqual(['order', 'payment', 'stock']);
});

test('while a participant is away sagas take the other lane, and this one when it is back', async () => {
  express.participant.answers.set('inventory.deduct', { status: 503 });
  const refused = async (): Promise<boolean> => (await express.lane.accept(newSaga())) === undefined;
  await eventually(async () => {
    expect(await refused()).toBe(true);
    expect(express.lane.count('resting')).toBeGreaterThan(0);
  });
  expect(express.lane.count('unknown')).toBeGreaterThanOrEqual(5);
  express.participant.answers.clear();
  await eventually(async () => {
    await refused();
    expect(express.lane.count('completed')).toBeGreaterThan(3);
  });
});
