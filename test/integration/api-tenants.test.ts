import { postOrder, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';

const RED = 'key-of-red-7f3a';
const BLUE = 'key-of-blue-91bc';
const as = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

describe('with API keys', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  beforeAll(async () => {
    const apiKeys = new Map([
      [RED, 'red'],
      [BLUE, 'blue'],
    ]);
    api = await startTestApi(database.url, { config: { apiKeys } });
  });
  afterAll(() => api.stop());

  test.each([
    ['no header', {}],
    ['an unknown key', as('key-of-red-7f3b')],
    ['the start of a key', as(RED.slice(0, -1))],
    ['an empty key', { authorization: 'Bearer ' }],
    ['another scheme', { authorization: `Basic ${RED}` }],
    ['the tenant instead of the key', as('red')],
  ])('%s is refused before the body is read', async (_name, headers) => {
    const response = await postOrder(api.url, { headers });
    expect(response.status).toBe(401);
    expect(response.headers.get('www-authenticate')).toBe('Bearer realm="settle"');
    expect(await response.json()).toMatchObject({ type: '/problems/unauthorized' });
    expect((await fetch(`${api.url}/%761/sagas`, { headers })).status).toBe(401);
    const { rows } = await api.pool.query('select 1 from settle.saga where tenant_id = $1', ['default']);
    expect(rows).toEqual([]);
  });

  test('probes, metrics and documentation need no key', async () => {
    for (const path of ['/health/live', '/health/ready', '/metrics', '/openapi.json', '/docs', '/problems/not-found']) {
      expect((await fetch(`${api.url}${path}`)).status).toBe(200);
    }
  });

  test('one tenant sees nothing of another: its sagas do not exist, and its keys do not clash', async () => {
    const ofRed = await postOrder(api.url, { key: 'same', headers: as(RED) });
    const { sagaId, orderId } = (await ofRed.json()) as { sagaId: string; orderId: string };
    const ofBlue = await postOrder(api.url, { key: 'same', headers: as(BLUE) });
    expect(ofBlue.status).toBe(202);
    expect(ofBlue.headers.get('idempotent-replayed')).toBeNull();
    for (const path of [`/v1/sagas/${sagaId}`, `/v1/sagas/${sagaId}/events`, `/v1/orders/${orderId}`]) {
      expect((await fetch(`${api.url}${path}`, { headers: as(BLUE) })).status).toBe(404);
    }
    const cancel = await fetch(`${api.url}/v1/sagas/${sagaId}/cancel`, { method: 'POST', headers: as(BLUE) });
    expect(cancel.status).toBe(404);
    const list = await (await fetch(`${api.url}/v1/sagas`, { headers: as(BLUE) })).text();
    expect(list).not.toContain(sagaId);
    expect((await fetch(`${api.url}/v1/sagas/${sagaId}`, { headers: as(RED) })).status).toBe(200);
  });

  test('neither keys nor payloads nor idempotency keys reach the log, the metrics or a problem', async () => {
    const canary = 'canary-5551';
    const body = { customerId: canary, currency: 'EUR', items: [{ sku: canary, quantity: 1, unitPrice: 1 }] };
    const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
    const good = await postOrder(api.url, { body, key: canary, headers: { ...as(RED), traceparent } });
    expect(good.status).toBe(202);
    const texts = [];
    const bad = { ...body, currency: canary, items: [{ sku: canary, quantity: canary }] };
    texts.push(await (await postOrder(api.url, { body: bad, key: canary, headers: as(RED) })).text());
    texts.push(await (await fetch(`${api.url}/v1/sagas?state=${canary}`, { headers: as(RED) })).text());
    texts.push(await (await fetch(`${api.url}/v1/sagas?key=${canary}`, { headers: as(canary) })).text());
    texts.push(await (await fetch(`${api.url}/metrics`)).text(), api.log());
    for (const text of texts) {
      expect(text).not.toContain(canary);
      expect(text).not.toContain(RED);
    }
    expect(api.log()).toContain('0af7651916cd43dd8448eb211c80319c');
  });

  test('metrics count what was accepted, repeated and refused, and the sagas that are open', async () => {
    await postOrder(api.url, { key: 'same', headers: as(RED) });
    const text = await (await fetch(`${api.url}/metrics`)).text();
    expect(text).toMatch(/^settle_sagas_accepted_total\{type="place-order"\} \d+$/m);
    expect(text).toMatch(/^settle_requests_replayed_total\{type="place-order"\} \d+$/m);
    expect(text).toMatch(/^settle_problems_total\{type="unauthorized"\} \d+$/m);
    expect(text).toMatch(/^settle_sagas_open\{state="accepted"\} \d+$/m);
    expect(text).toMatch(
      /settle_http_request_duration_seconds_count\{method="POST",route="\/v1\/orders",status="202"\} \d+/,
    );
  });
});
