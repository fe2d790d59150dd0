import { eventually } from '../support/eventually.js';
import { useTown } from '../support/town.js';

const town = useTown('outbox');

const CREDIT = { account: 'c-outbox', currency: 'EUR', amount: 1 };

/** Sends messages in one transaction with a business row, as a producer in any language would. */
async function send(type: string, payload: object, count = 1): Promise<string[]> {
  const rows = await town.query<{ id: string }>(
    'producer',
    `select settle.send($1, $2::jsonb || jsonb_build_object('userId', 'u-' || n)) as id from generate_series(1, $3::int) n`,
    [type, JSON.stringify(payload), count],
  );
  return rows.map(({ id }) => id);
}

async function statesOf(ids: readonly string[]): Promise<Record<string, number>> {
  const rows = await town.query<{ state: string; count: number }>(
    'producer',
    `select status as state, count(*)::int as count from settle.message_log where effect_key = any($1) group by 1`,
    [ids.map((id) => `${id}/message/do`)],
  );
  return Object.fromEntries(rows.map(({ state, count }) => [state, count]));
}

const expectState = (id: string, expected: object): Promise<void> =>
  eventually(async () => expect((await town.office.get(`/v1/messages/${id}`)).body).toMatchObject(expected), {
    timeoutMs: 60_000,
  });

test('promise 4: a worker that is killed while it delivers loses no message, and each takes effect once', async () => {
  const ids = await send('accounts.credit', CREDIT, 2_000);
  await eventually(async () => expect((await statesOf(ids))['sent']).toBeGreaterThan(20), { everyMs: 2 });
  await town.kill('worker');
  const { pending = 0 } = await statesOf(ids);
  expect(pending).toBeGreaterThan(0);
  await town.start('worker');
  // those that the dead one had are free when its lease is over
  await eventually(async () => expect(await statesOf(ids)).toEqual({ sent: 2_000 }), {
    timeoutMs: 300_000,
    everyMs: 100,
  });
  const [books] = await town.query('accounts', `select balance::int from accounts.account where id like '%c-outbox%'`);
  expect(books).toEqual({ balance: 2_000 });
  const inbox = await town.query('accounts', `select count(*)::int from accounts.inbox where saga_id = any($1)`, [ids]);
  expect(inbox).toEqual([{ count: 2_000 }]);
});

test('what the first attempts cannot deliver has a workflow, which delivers it when its participant is back', async () => {
  await town.kill('participants');
  const [id = ''] = await send('accounts.credit', CREDIT);
  await eventually(
    async () =>
      expect(
        await town.query(
          'producer',
          'select in_workflow, scans > 0 as scanned from settle.message_log where effect_key = $1',
          [`${id}/message/do`],
        ),
      ).toEqual([{ in_workflow: true, scanned: true }]),
    { timeoutMs: 90_000 },
  );
  await expectState(id, { state: 'pending', lastError: expect.stringContaining('ECONNREFUSED') });
  await town.start('participants');
  await expectState(id, { state: 'delivered' });
});

test('what a participant refuses is a dead letter that says why', async () => {
  const [id = ''] = await send('accounts.credit', { ...CREDIT, amount: 'a lot' });
  await expectState(id, { state: 'dead', attempts: 1, reason: { message: expect.any(String) } });
});
