import type { OpenApiDocument } from '../../src/api/openapi.js';
import type { RepairView } from '../../src/api/repair-schemas.js';
import { GOOD_ORDER, postOrder, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { conformsTo } from '../support/json-schema.js';

type Described = Record<string, { content?: Record<string, { schema: object }> }>;

describe('the OpenAPI document', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  let document: OpenApiDocument;
  beforeAll(async () => {
    api = await startTestApi(database.url);
    document = (await (await fetch(`${api.url}/openapi.json`)).json()) as OpenApiDocument;
  });
  afterAll(() => api.stop());

  const operations = (): { path: string; method: string; operation: Record<string, unknown> }[] =>
    Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.entries(methods).map(([method, operation]) => ({
        path,
        method,
        operation: operation as Record<string, unknown>,
      })),
    );

  test('describes every route that is served, and no other', () => {
    const documented = operations().map(
      ({ path, method }) => `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`,
    );
    const served = api.routes.filter((route) => !/^HEAD | \/docs|(open|async)api\.json/.test(route));
    expect(documented.toSorted()).toEqual(served.toSorted());
  });

  test('is OpenAPI 3.1 in structure: every reference leads somewhere, every path parameter is described', () => {
    expect(document.openapi).toMatch(/^3\.1\./);
    const references = [...JSON.stringify(document).matchAll(/"\$ref":"([^"]+)"/g)].map(([, reference]) => reference!);
    expect(references.length).toBeGreaterThan(10);
    for (const reference of references) {
      const parts = reference.replace('#/', '').split('/');
      const target = parts.reduce<unknown>((at, part) => (at as Record<string, unknown> | undefined)?.[part], document);
      expect({ reference, found: target !== undefined }).toEqual({ reference, found: true });
    }
    const ids = new Set<unknown>();
    for (const { path, operation } of operations()) {
      ids.add(operation['operationId']);
      const parameters = operation['parameters'] as { name: string; in: string; required: boolean; schema: object }[];
      const inPath = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name);
      expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(inPath);
      expect(Object.keys(operation['responses'] as object).length).toBeGreaterThan(1);
    }
    expect(ids.size).toBe(operations().length);
  });

  test('promises what is answered: status, media type and shape of each operation', async () => {
    const order = { ...GOOD_ORDER };
    const retry = { actionId: 'a-1', action: 'retry', actor: 'ann', reason: 'called' };
    const accepted = (await (await postOrder(api.url, { body: order, key: 'documented' })).json()) as {
      sagaId: string;
      orderId: string;
    };
    const { sagaId, orderId } = accepted;
    const repair = { action: 'retry', actor: 'ann', reason: 'called' };
    const previewed = await fetch(`${api.url}/v1/repairs`, jsonPost({ ...repair, query: {} }, {}));
    const { repairId, etag } = (await previewed.json()) as RepairView;
    const calls: readonly [method: string, path: string, template: string, init?: RequestInit][] = [
      ['post', '/v1/orders', '/v1/orders', jsonPost({}, { 'idempotency-key': 'documented' })],
      ['post', '/v1/orders', '/v1/orders', jsonPost(order, { 'idempotency-key': 'documented' })],
      [
        'post',
        '/v1/orders',
        '/v1/orders',
        jsonPost({ ...order, customerId: 'x' }, { 'idempotency-key': 'documented' }),
      ],
      ['get', `/v1/orders/${orderId}`, '/v1/orders/{orderId}'],
      ['get', '/v1/orders/x', '/v1/orders/{orderId}'],
      ['get', '/v1/sagas', '/v1/sagas'],
      ['get', '/v1/sagas?limit=x', '/v1/sagas'],
      ['get', `/v1/sagas/${sagaId}`, '/v1/sagas/{id}'],
      ['get', '/v1/sagas/x', '/v1/sagas/{id}'],
      ['get', '/v1/sagas/x/events', '/v1/sagas/{id}/events'],
      ['post', `/v1/sagas/${sagaId}/cancel`, '/v1/sagas/{id}/cancel', { method: 'POST' }],
      ['post', '/v1/sagas/x/cancel', '/v1/sagas/{id}/cancel', { method: 'POST' }],
      ['get', '/v1/parked', '/v1/parked'],
      ['get', '/v1/parked?limit=x', '/v1/parked'],
      ['post', `/v1/sagas/${sagaId}/actions`, '/v1/sagas/{id}/actions', jsonPost(retry, {})],
      ['post', '/v1/sagas/x/actions', '/v1/sagas/{id}/actions', jsonPost(retry, {})],
      ['post', `/v1/sagas/${sagaId}/actions`, '/v1/sagas/{id}/actions', jsonPost({}, {})],
      ['post', '/v1/messages/x/actions', '/v1/messages/{id}/actions', jsonPost(retry, {})],
      ['post', '/v1/repairs', '/v1/repairs', jsonPost({ ...repair, query: {} }, {})],
      ['post', '/v1/repairs', '/v1/repairs', jsonPost(repair, {})],
      ['get', `/v1/repairs/${repairId}`, '/v1/repairs/{id}'],
      ['get', '/v1/repairs/x', '/v1/repairs/{id}'],
      ['get', '/v1/repairs/x?limit=x', '/v1/repairs/{id}'],
      ['post', `/v1/repairs/${repairId}/confirm`, '/v1/repairs/{id}/confirm', jsonPost({ etag, count: 9 }, {})],
      ['post', `/v1/repairs/${repairId}/confirm`, '/v1/repairs/{id}/confirm', jsonPost({ etag, count: 0 }, {})],
      ['post', `/v1/repairs/${repairId}/cancel`, '/v1/repairs/{id}/cancel', { method: 'POST' }],
      ['post', '/v1/repairs/x/cancel', '/v1/repairs/{id}/cancel', { method: 'POST' }],
      ['get', '/problems/not-found', '/problems/{name}'],
      ['get', '/problems/x', '/problems/{name}'],
      ['get', '/health/live', '/health/live'],
      ['get', '/health/ready', '/health/ready'],
      ['get', '/metrics', '/metrics'],
    ];
    for (const [method, path, template, init] of calls) {
      const response = await fetch(`${api.url}${path}`, init);
      const responses = (document.paths[template]![method] as { responses: Described }).responses;
      const described = responses[String(response.status)];
      const mediaType = response.headers.get('content-type')!.split(';')[0]!;
      const schema = described?.content?.[mediaType]?.schema;
      expect({ path, status: response.status, isDescribed: schema !== undefined }).toMatchObject({ isDescribed: true });
      const body: unknown = mediaType.endsWith('json') ? await response.json() : await response.text();
      expect({ path, faults: conformsTo(schema!, body, document) }).toEqual({ path, faults: [] });
    }
  });

  test('the page works without a network', async () => {
    const page = await (await fetch(`${api.url}/docs`)).text();
    const assets = [...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, address]) => address!);
    expect(assets).toHaveLength(3);
    for (const asset of assets) {
      expect(asset).toMatch(/^\/docs\//);
      expect((await fetch(`${api.url}${asset}`)).status).toBe(200);
    }
  });
});

function jsonPost(body: object, headers: Record<string, string>): RequestInit {
  return { method: 'POST', headers: { 'content-type': 'application/json', ...headers }, body: JSON.stringify(body) };
}
