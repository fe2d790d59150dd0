import { v7 } from 'uuid';
import { countOutbox } from '../../src/db/outbox-queries.js';
import type { OpenApiDocument } from '../../src/api/openapi.js';
import { startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { conformsTo } from '../support/json-schema.js';
import { answering, openOutbox, routesTo, type Outbox } from '../support/outbox.js';

const ledger = useDatabase('producer');
let api: TestApi;
let outbox: Outbox;
beforeAll(async () => {
  api = await startTestApi(ledger.url, {
    config: { apiKeys: new Map(Object.entries({ one: 'first', two: 'second' })) },
  });
  outbox = openOutbox(ledger.url, routesTo('http://127.0.0.1:9', ['notes.write']));
});
afterAll(async () => {
  await outbox.stop();
  await api.stop();
});

async function get(path: string, apiKey = 'one'): Promise<{ status: number; body: Record<string, unknown> }> {
  const response = await fetch(api.url + path, { headers: { authorization: `Bearer ${apiKey}` } });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
}

test('a message that was sent from SQL can be followed to its end, as the document says, by its own tenant only', async () => {
  const [good, bad] = [
    await outbox.send({ tenant: 'first', orderKey: 'k' }),
    await outbox.send({ tenant: 'first', payload: 'bad' }),
  ];
  const pending = await get(`/v1/messages/${good}`);
  expect(pending).toMatchObject({
    status: 200,
    body: { state: 'pending', orderKey: 'k', attempts: 0, effectKey: `${good}/message/do` },
  });
  expect(await get(`/v1/messages/${good}`, 'two')).toMatchObject({ status: 404 });
  const relay = outbox.relay({
    router: answering(({ payload }) =>
      payload === 'bad' ? { kind: 'rejected', reason: { code: 'bad', message: 'no' } } : { kind: 'done', result: null },
    ),
  });
  const ended = await eventually(async () => {
    const answers = [await get(`/v1/messages/${good}`), await get(`/v1/messages/${bad}`)];
    expect(answers.map(({ body }) => body['state'])).toEqual(['delivered', 'dead']);
    return answers;
  });
  expect(ended[1]!.body).toMatchObject({ reason: { code: 'bad', message: 'no' }, dueAt: null });
  await relay.stop();
  const document = (await get('/openapi.json')).body as unknown as OpenApiDocument;
  const schema = document.components['schemas'] as Record<string, object>;
  for (const { body } of [pending, ...ended]) {
    expect(conformsTo(schema['OutboxMessage']!, body, document)).toEqual([]);
  }
});

test.each([`om_${v7()}`, 'om_1', `om_${v7().toUpperCase()}`, `sg_${v7()}`])('%s is no message', async (id) => {
  expect(await get(`/v1/messages/${id}`)).toMatchObject({ status: 404, body: { type: '/problems/not-found' } });
});

test('a verdict is for half messages only', async () => {
  const id = await outbox.send({ tenant: 'first' });
  const confirmed = await fetch(`${api.url}/v1/messages/${id}/confirm`, {
    method: 'POST',
    headers: { authorization: 'Bearer one' },
  });
  expect(confirmed.status).toBe(404);
});

test('what is pending, overdue and dead is counted, also for Prometheus', async () => {
  await outbox.pool.query('delete from settle.message_log');
  for (const type of ['a', 'b', 'c']) await outbox.send({ type });
  await outbox.pool.query(`update settle.message_log set due_at = now() - interval '1 minute' where type = 'b'`);
  await outbox.pool.query(`update settle.message_log set due_at = null, status = 'dead' where type = 'c'`);
  expect(await countOutbox(outbox.pool, 100)).toEqual({ pending: 2, overdue: 1, dead: 1 });
  expect(await countOutbox(outbox.pool, 1)).toEqual({ pending: 1, overdue: 1, dead: 1 });
  const text = await (await fetch(`${api.url}/metrics`, { headers: { authorization: 'Bearer one' } })).text();
  expect(text).toContain('settle_outbox_messages{state="overdue"} 1');
});
