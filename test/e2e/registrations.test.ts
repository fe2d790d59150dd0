import { randomUUID } from 'node:crypto';
import { eventually } from '../support/eventually.js';
import { EVERYTHING, NOTHING, tracesOf as tracesIn } from '../support/town-books.js';
import { useTown } from '../support/town.js';

const town = useTown('registrations');

const tracesOf = (sagaId: string): Promise<object> => tracesIn(town, sagaId);

test('a registration happens everywhere: user, profile, preferences, credit and one mail', async () => {
  const { status, body } = await town.office.register({ userName: 'ada', email: 'ada@example.org' });
  expect(status).toBe(202);
  expect(await town.office.settled(body.sagaId)).toMatchObject({
    state: 'completed',
    steps: [
      { name: 'user', status: 'done' },
      { name: 'profile', status: 'done' },
      { name: 'preferences', status: 'done' },
      { name: 'credit', status: 'done' },
      { name: 'welcome', kind: 'retriable', status: 'done', effectKeys: { undo: null } },
    ],
  });
  expect((await town.office.get(`/v1/registrations/${body.userId}`)).body).toMatchObject({
    ...{ status: 'registered', sagaState: 'completed', userName: 'ada', email: 'ada@example.org' },
  });
  expect(await tracesOf(body.sagaId)).toEqual(EVERYTHING);
});

test('a user name that is taken, however it is written, is refused before anybody is told', async () => {
  const answer = await town.office.register({ userName: 'ADA', email: 'other@example.org' }, { wait: 30 });
  expect(answer).toMatchObject({
    ...{ status: 409, body: { type: '/problems/registration-rejected', reason: { code: 'user-name-taken' } } },
  });
  const saga = await town.office.settled(answer.body.sagaId);
  expect(saga).toMatchObject({ state: 'compensated', reason: { code: 'user-name-taken', step: 'user' } });
  expect(await tracesOf(answer.body.sagaId)).toEqual(NOTHING);
  expect((await town.office.get(`/v1/registrations/${answer.body.userId}`)).body).toMatchObject({ status: 'rejected' });
});

test('an address that is taken undoes the registration everywhere, and its user name is free again', async () => {
  const { body } = await town.office.register({ userName: 'grace', email: 'ADA@example.org' });
  expect(await town.office.settled(body.sagaId)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'email-taken', step: 'profile' } },
  });
  expect(await tracesOf(body.sagaId)).toEqual(NOTHING);
  expect((await town.office.get(`/v1/registrations/${body.userId}`)).body).toMatchObject({ status: 'removed' });
  const account = await town.query('accounts', `select closed_at from accounts.account where id = $1`, [body.userId]);
  expect(account.filter(({ closed_at }) => closed_at === null)).toEqual([]);
  expect(await town.office.registered({ userName: 'grace', email: 'grace@example.org' })).toMatchObject({
    state: 'completed',
  });
});

test('a client that waits has the user itself', async () => {
  const answer = await town.office.register({ userName: 'edith', email: 'edith@example.org' }, { wait: 30 });
  expect(answer).toMatchObject({ status: 201, body: { status: 'registered', userName: 'edith' } });
  expect(answer.headers.get('location')).toBe(`/v1/registrations/${answer.body.userId}`);
});

test('the same key registers once, and with another body it is refused', async () => {
  const key = randomUUID();
  const user = { userName: 'barbara', email: 'barbara@example.org' };
  const answers = await Promise.all(Array.from({ length: 20 }, () => town.office.register(user, { key })));
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  expect((await town.office.register({ ...user, userName: 'liskov' }, { key })).status).toBe(422);
  expect(await town.office.settled(answers[0]!.body.sagaId)).toMatchObject({ state: 'completed' });
});

test('of ten who want the same user name at the same moment one gets it, and the others leave nothing behind', async () => {
  const sagas = await Promise.all(
    Array.from({ length: 10 }, (_, n) =>
      town.office.registered({ userName: 'radia', email: `radia-${n}@example.org` }),
    ),
  );
  const losers = sagas.filter(({ state }) => state === 'compensated');
  expect(losers).toHaveLength(9);
  for (const { sagaId } of losers) expect(await tracesOf(sagaId)).toEqual(NOTHING);
});

test('a registration that is cancelled while the participants are away leaves nothing behind', async () => {
  await town.kill('participants');
  const { body } = await town.office.register({ userName: 'margaret', email: 'margaret@example.org' });
  await eventually(async () => {
    expect((await town.office.saga(body.sagaId)).steps[3]!.attempts).toBeGreaterThan(2);
  });
  expect((await town.office.cancel(body.sagaId)).status).toBe(202);
  await town.start('participants');
  expect(await town.office.settled(body.sagaId)).toMatchObject({
    ...{ state: 'compensated', reason: { code: 'cancelled' } },
  });
  expect(await tracesOf(body.sagaId)).toEqual(NOTHING);
});

test('while the participants are away a registration waits, and then it happens', async () => {
  await town.kill('participants');
  const { body } = await town.office.register({ userName: 'katherine', email: 'katherine@example.org' });
  await eventually(async () => {
    const { steps } = await town.office.saga(body.sagaId);
    expect(Math.min(...steps.slice(1, 4).map(({ attempts }) => attempts))).toBeGreaterThan(2);
  });
  await town.start('participants');
  expect(await town.office.settled(body.sagaId)).toMatchObject({ state: 'completed' });
  expect(await tracesOf(body.sagaId)).toEqual(EVERYTHING);
});

test('each registered user has a profile, preferences, a mail and the credit, nobody else has, and the books balance', async () => {
  const users = await town.query<{ user_id: string }>(
    'producer',
    `select user_id from people.registration where status = 'registered' order by user_id`,
  );
  const ids = users.map(({ user_id }) => user_id);
  const idsIn = async (database: 'profiles' | 'accounts', sql: string): Promise<string[]> =>
    (await town.query<{ id: string }>(database, sql)).map(({ id }) => id);
  const active = `where status = 'active' order by user_id`;
  expect(await idsIn('profiles', `select user_id as id from profiles.profile ${active}`)).toEqual(ids);
  expect(await idsIn('profiles', `select user_id as id from profiles.preferences ${active}`)).toEqual(ids);
  expect(await idsIn('profiles', `select user_id as id from profiles.mail order by user_id`)).toEqual(ids);
  expect(
    await idsIn('accounts', `select id from accounts.account where id like 'usr_%' and balance = 500 order by id`),
  ).toEqual(ids);
  expect(await town.query('accounts', 'select sum(balance - opening)::int as moved from accounts.account')).toEqual([
    { moved: 0 },
  ]);
});
