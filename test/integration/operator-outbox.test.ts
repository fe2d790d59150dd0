import type { ActionView, ParkedPage } from '../../src/api/operator-schemas.js';
import { claimUndelivered } from '../../src/db/operator-actions.js';
import { claimOutbox, recordOutbox, type OutboxMessage } from '../../src/db/outbox.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { actionBody, ask } from '../support/parked-messages.js';

const database = useDatabase('producer');
let api: TestApi;

beforeAll(async () => {
  api = await startTestApi(database.url);
});
afterAll(() => api.stop());

const claim = async (id: string): Promise<OutboxMessage | undefined> => {
  const terms = { room: new Map(), otherwise: 100, ordered: ['notes.write'], leaseMs: 1 };
  return (await claimOutbox(api.pool, terms)).find(({ messageId, isQueued }) => messageId === id && !isQueued);
};
const send = async (orderKey: string | null = null, madeAt = ''): Promise<string> => {
  const { rows } = await api.pool.query<{ id: string }>(
    `select settle.send('notes.write', '{"amount":13}', order_key => $1) as id`,
    [orderKey],
  );
  const { id } = rows[0]!;
  if (madeAt === '') return id;
  const old = `om_${madeAt}${id.slice(16)}`;
  await api.pool.query('update settle.message_log set effect_key = $2, message_id = $3 where effect_key = $1', [
    `${id}/message/do`,
    `${old}/message/do`,
    old.slice(3),
  ]);
  return old;
};
/** A message that its participant has refused. */
const bury = async (id: string, code = 'unlucky'): Promise<string> => {
  const { effectKey, attempts } = (await claim(id))!;
  await recordOutbox(api.pool, [
    { effectKey, attempt: attempts, move: { to: 'dead', reason: { code, message: 'no 13 here' } } },
  ]);
  return id;
};
const act = (id: string, change: object): Promise<{ status: number; body: ActionView }> =>
  ask<ActionView>(api.url, `/v1/messages/${id}/actions`, { body: actionBody(change) });
const stateOf = async (id: string): Promise<unknown> => (await ask(api.url, `/v1/messages/${id}`)).body['state'];

test('a dead letter is listed with its reason and what may be done about it', async () => {
  const id = await bury(await send());
  const { body } = await ask<ParkedPage>(api.url, '/v1/parked?kind=outbox-message');
  expect(body.items.find((item) => item.id === id)).toMatchObject({
    ...{ kind: 'outbox-message', type: 'notes.write', step: 'message', effectKey: `${id}/message/do`, attempts: 1 },
    ...{ reason: { code: 'unlucky' }, payload: { amount: 13 }, actions: ['resend', 'edit', 'skip', 'discard'] },
  });
  const { rows } = await api.pool.query('select type, cause from settle.notice where subject_id = $1', [id]);
  expect(rows).toEqual([{ type: 'message.dead', cause: 'unlucky' }]);
});

test('resend sends it again under the same effect key and a higher revision, and nobody need be told', async () => {
  const id = await bury(await send());
  expect(await act(id, { action: 'resend' })).toMatchObject({ status: 200, body: { kind: 'outbox-message', id } });
  expect(await claim(id)).toMatchObject({ effectKey: `${id}/message/do`, revision: 1, attempts: 2, mayRepeat: false });
  expect((await claimUndelivered(api.pool, 100)).filter(({ subjectId }) => subjectId === id)).toEqual([]);
});

test('an answer to an attempt of before the resend, however late, is no answer to it', async () => {
  const id = await bury(await send());
  expect((await act(id, { action: 'resend' })).status).toBe(200);
  await claim(id);
  const late = { to: 'dead', reason: { code: 'late', message: 'to the first attempt' } } as const;
  await recordOutbox(api.pool, [{ effectKey: `${id}/message/do`, attempt: 1, move: late }]);
  expect(await stateOf(id)).toBe('pending');
});

test('edit sends another payload under the same effect key', async () => {
  const id = await bury(await send());
  expect((await act(id, { action: 'edit', payload: { amount: 14 } })).status).toBe(200);
  expect(await claim(id)).toMatchObject({ payload: { amount: 14 }, revision: 1 });
});

test.each([
  ['skip', { action: 'skip', result: { noted: true } }, 'delivered'],
  ['discard', { action: 'discard' }, 'discarded'],
])('%s ends it, and what waited behind it under its order key goes on', async (name, change, state) => {
  const [first, second] = [await send(`key-${name}`), await send(`key-${name}`)];
  await bury(first);
  expect(await claim(second)).toBeUndefined();
  expect((await act(first, change)).status).toBe(200);
  expect(await stateOf(first)).toBe(state);
  await api.pool.query(`update settle.message_log set due_at = clock_timestamp() where effect_key = $1`, [
    `${second}/message/do`,
  ]);
  expect(await claim(second)).toMatchObject({ messageId: second });
});

test('of two operators at the same moment one decides, and a repeated action changes nothing', async () => {
  const id = await bury(await send());
  const answers = await Promise.all([act(id, { action: 'resend' }), act(id, { action: 'discard' })]);
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409]);
  const other = await bury(await send());
  const action = { actionId: 'once', action: 'discard' };
  expect((await act(other, action)).status).toBe(200);
  expect((await act(other, action)).status).toBe(200);
  expect((await act(other, { ...action, reason: 'another' })).status).toBe(422);
});

test('one that participants may have forgotten is sent again only on the word that it may be repeated', async () => {
  const made = (Date.now() - 15 * 86_400_000).toString(16).padStart(12, '0');
  const id = await bury(await send(null, `${made.slice(0, 8)}-${made.slice(8)}`));
  expect(await act(id, { action: 'resend' })).toMatchObject({
    status: 409,
    body: { type: '/problems/may-repeat-effect' },
  });
  expect((await act(id, { action: 'resend', mayRepeat: true })).status).toBe(200);
  expect(await claim(id)).toMatchObject({ mayRepeat: true });
});

test('a message that is not dead, or another tenant’s, cannot be acted on', async () => {
  const id = await send();
  expect((await act(id, { action: 'resend' })).status).toBe(409);
  expect((await act('om_0198c5a0-7e1c-7000-8000-000000000001', { action: 'resend' })).status).toBe(404);
});
