import { randomUUID } from 'node:crypto';
import { messageId } from '../../src/saga/ids.js';
import { v7 } from 'uuid';
import { startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import type { OpenApiDocument } from '../../src/api/openapi.js';
import { conformsTo } from '../support/json-schema.js';

const database = useDatabase('producer');
let api: TestApi;
beforeAll(async () => {
  api = await startTestApi(database.url, {
    config: { apiKeys: new Map(Object.entries({ one: 'first', two: 'second' })) },
  });
});
afterAll(() => api.stop());

const GOOD = { type: 'inventory.deduct', payload: { orderId: 'o-1' }, checkBackUrl: 'http://127.0.0.1:9/check-back' };

interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: Record<string, unknown>;
}

async function call(path: string, init: RequestInit & { apiKey?: string } = {}): Promise<Answer> {
  const { apiKey = 'one', ...request } = init;
  const response = await fetch(api.url + path, {
    ...request,
    headers: { authorization: `Bearer ${apiKey}`, ...(request.headers as Record<string, string>) },
  });
  return { status: response.status, headers: response.headers, body: (await response.json()) as Answer['body'] };
}

function prepare(body: unknown = GOOD, key: string = randomUUID()): Promise<Answer> {
  return call('/v1/messages', {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'idempotency-key': key },
    body: JSON.stringify(body),
  });
}

const give = (id: unknown, verdict: 'confirm' | 'rollback', apiKey = 'one'): Promise<Answer> =>
  call(`/v1/messages/${String(id)}/${verdict}`, { method: 'POST', apiKey });

test('a half message is stored, and its workflow is told of it once', async () => {
  const { status, headers, body } = await prepare({ ...GOOD, immunityMs: 250 });
  expect([status, body['state']]).toEqual([201, 'prepared']);
  expect(headers.get('location')).toBe(`/v1/messages/${String(body['messageId'])}`);
  expect((await call(headers.get('location')!)).body).toMatchObject({
    state: 'prepared',
    verdict: null,
    effectKey: `${String(body['messageId'])}/message/do`,
  });
  const told = api.told.filter(({ messageId: id }) => id === body['messageId']);
  expect(told).toMatchObject([{ verdict: null, tenantId: 'first', plan: { firstMs: 250, horizonMs: 86_400_000 } }]);
});

test('promise 2: the same key brings the same message, with another body it is refused', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => prepare(GOOD, 'same')));
  expect(new Set(answers.map(({ status, body }) => JSON.stringify([status, body]))).size).toBe(1);
  expect(answers.filter(({ headers }) => headers.get('idempotent-replayed') === null)).toHaveLength(1);
  expect((await prepare({ ...GOOD, payload: 1 }, 'same')).status).toBe(422);
  expect((await prepare(GOOD, 'same')).body).toEqual(answers[0]!.body);
});

test.each(['confirm', 'rollback'] as const)(
  'a %s repeated brings the same answer, the other one a 409',
  async (word) => {
    const { body } = await prepare();
    const first = await give(body['messageId'], word);
    const verdict = word === 'confirm' ? 'committed' : 'rolled-back';
    expect(first).toMatchObject({ status: 200, body: { verdict, decidedBy: 'producer' } });
    expect((await give(body['messageId'], word)).body).toEqual(first.body);
    const other = await give(body['messageId'], word === 'confirm' ? 'rollback' : 'confirm');
    expect(other).toMatchObject({ status: 409, body: { type: '/problems/message-decided', verdict } });
    expect((await give(body['messageId'], word)).body).toEqual(first.body);
    const state = word === 'confirm' ? 'confirmed' : 'rolled-back';
    expect((await call(`/v1/messages/${String(body['messageId'])}`)).body).toMatchObject({ state, verdict });
    // told when prepared and when decided, not when repeated
    expect(api.told.filter(({ messageId: id }) => id === body['messageId'])).toMatchObject([
      { verdict: null },
      { verdict },
    ]);
  },
);

test.each([
  ['nothing', null],
  ['a list', []],
  ['no payload', { ...GOOD, payload: undefined }],
  ['a type without a route', { ...GOOD, type: 'nobody.cares' }],
  ['a type that every object has', { ...GOOD, type: 'toString' }],
  ['a relative URL', { ...GOOD, checkBackUrl: '/check-back' }],
  ['a file', { ...GOOD, checkBackUrl: 'file:///etc/passwd' }],
  ['a password in the URL', { ...GOOD, checkBackUrl: 'http://u:p@127.0.0.1/x' }],
  ['a URL with NUL', { ...GOOD, checkBackUrl: 'http://127.0.0.1/\0' }],
  ['no immunity', { ...GOOD, immunityMs: 0 }],
  ['half a millisecond of immunity', { ...GOOD, immunityMs: 0.5 }],
  ['an unknown member', { ...GOOD, checkbackUrl: 'x' }],
  ['NUL in the payload', { ...GOOD, payload: { text: 'a\0b' } }],
  ['a lone surrogate in the payload', { ...GOOD, payload: { '\ud800': 1 } }],
])('%s is refused, and nothing is stored', async (_, body) => {
  const key = randomUUID();
  expect(await prepare(body, key)).toMatchObject({ status: 400, body: { type: '/problems/invalid-request' } });
  const { rowCount } = await api.pool.query('select 1 from settle.half_message where idempotency_key = $1', [key]);
  expect(rowCount).toBe(0);
});

test('a preparation without an Idempotency-Key is refused', async () => {
  const headers = { 'content-type': 'application/json' };
  const answer = await call('/v1/messages', { method: 'POST', headers, body: JSON.stringify(GOOD) });
  expect(answer).toMatchObject({ status: 400, body: { type: '/problems/invalid-idempotency-key' } });
});

test("another tenant's message can neither be seen nor decided, nor without a key", async () => {
  const { body } = await prepare();
  const id = String(body['messageId']);
  expect((await call(`/v1/messages/${id}`, { apiKey: 'two' })).status).toBe(404);
  expect((await give(id, 'confirm', 'two')).status).toBe(404);
  expect((await give(id, 'rollback', 'three')).status).toBe(401);
  expect((await call(`/v1/messages/${id}`)).body).toMatchObject({ state: 'prepared' });
});

test('what is no message is not found', async () => {
  for (const id of [messageId(v7()), 'x', 'sg_0198c5a0-7e1c-7000-8000-000000000001', '%00', `a${'b'.repeat(2_000)}`]) {
    expect((await call(`/v1/messages/${id}`)).status).toBe(404);
    expect((await give(id, 'confirm')).status).toBe(404);
  }
});

test('the OpenAPI document describes what is answered', async () => {
  const document = (await (await fetch(`${api.url}/openapi.json`)).json()) as OpenApiDocument;
  const { body } = await prepare();
  const id = String(body['messageId']);
  const calls: readonly [method: string, template: string, answer: Answer][] = [
    ['post', '/v1/messages', await prepare()],
    ['post', '/v1/messages', await prepare({})],
    ['get', '/v1/messages/{id}', await call(`/v1/messages/${id}`)],
    ['post', '/v1/messages/{id}/confirm', await give(id, 'confirm')],
    ['post', '/v1/messages/{id}/rollback', await give(id, 'rollback')],
    ['get', '/v1/messages/{id}', await call(`/v1/messages/${id}`)],
    ['get', '/v1/messages/{id}', await call('/v1/messages/x')],
  ];
  for (const [method, template, { status, headers, body: answered }] of calls) {
    type Described = { responses: Record<string, { content: Record<string, { schema: object }> }> };
    const { responses } = document.paths[template]![method] as Described;
    const schema = responses[status]!.content[headers.get('content-type')!.split(';')[0]!]!.schema;
    expect({ template, faults: conformsTo(schema, answered, document) }).toEqual({ template, faults: [] });
  }
});

test('open half messages are counted by state', async () => {
  const metrics = await (await fetch(`${api.url}/metrics`)).text();
  expect(metrics).toMatch(/settle_half_messages_open\{state="prepared"\} \d+/);
  expect(metrics).toMatch(/settle_half_messages_open\{state="parked"\} 0/);
});
