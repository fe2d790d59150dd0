import { PROBLEMS } from '../../src/api/problems.js';
import { GOOD_ORDER, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { expectProblem } from '../support/problems.js';
import { send, sendBytes } from '../support/raw-http.js';

const GOOD = JSON.stringify(GOOD_ORDER);
const JSON_TYPE = ['content-type', 'application/json'];
const KEY = ['idempotency-key', 'k'];

/** A good order's text with one thing replaced. */
function spoiled(part: string, by: string): string {
  const text = GOOD.replace(part, by);
  expect(text).not.toBe(GOOD);
  return text;
}
const withQuantity = (number: string): string => spoiled('"quantity":2', `"quantity":${number}`);
const withPrice = (number: string): string => spoiled('"unitPrice":1250', `"unitPrice":${number}`);
const withCustomer = (text: string): string => spoiled('"c-1"', text);
const withItems = (items: string): string => spoiled(JSON.stringify(GOOD_ORDER.items), items);

const BODIES: readonly [name: string, body: string | Uint8Array, status: number, type: string, pointer?: string][] = [
  ['no body', '', 400, 'invalid-request', ''],
  ['malformed JSON', '{"customerId":', 400, 'invalid-json'],
  ['two values', `${GOOD}${GOOD}`, 400, 'invalid-json'],
  ['a comment', `${GOOD} // mine`, 400, 'invalid-json'],
  ['NaN', withQuantity('NaN'), 400, 'invalid-json'],
  ['bytes that are no UTF-8', Buffer.from(GOOD.replace('c-1', 'c-\xff'), 'latin1'), 400, 'invalid-json'],
  ['UTF-16', Buffer.from(GOOD, 'utf16le'), 400, 'invalid-json'],
  ['33 levels', '['.repeat(33) + ']'.repeat(33), 400, 'invalid-json'],
  ['30,000 levels', '['.repeat(30_000) + ']'.repeat(30_000), 400, 'invalid-json'],
  ['deep objects', '{"a":'.repeat(5_000) + '1' + '}'.repeat(5_000), 400, 'invalid-json'],
  ['more than 64 KiB', withCustomer(`"${'x'.repeat(65_536)}"`), 413, 'body-too-large'],
  ['null', 'null', 400, 'invalid-request', ''],
  ['an array', '[]', 400, 'invalid-request', ''],
  ['a string', '"order"', 400, 'invalid-request', ''],
  ['an unknown member', spoiled('{', '{"priority":1,'), 400, 'invalid-request', '/priority'],
  ['an unknown member of an item', spoiled('{"sku"', '{"gift":true,"sku"'), 400, 'invalid-request', '/items/0/gift'],
  ['__proto__', spoiled('{', '{"__proto__":{"admin":true},'), 400, 'invalid-json'],
  ['escaped __proto__', spoiled('{', '{"\\u005f_proto__":1,'), 400, 'invalid-json'],
  ['__proto__ of an item', spoiled('{"sku"', '{"__proto__":1,"sku"'), 400, 'invalid-json'],
  ['constructor', spoiled('{', '{"constructor":{"prototype":{}},'), 400, 'invalid-json'],
  ['no customer', spoiled('"customerId":"c-1",', ''), 400, 'invalid-request', '/customerId'],
  ['an empty customer', withCustomer('""'), 400, 'invalid-request', '/customerId'],
  ['a customer of 65 characters', withCustomer(`"${'x'.repeat(65)}"`), 400, 'invalid-request', '/customerId'],
  ['a number as customer', withCustomer('1'), 400, 'invalid-request', '/customerId'],
  ['NUL in text', withCustomer('"c\\u0000"'), 400, 'invalid-request', '/customerId'],
  ['a lone high surrogate', withCustomer('"c\\ud800"'), 400, 'invalid-request', '/customerId'],
  ['a lone low surrogate', withCustomer('"\\udc00c"'), 400, 'invalid-request', '/customerId'],
  ['quantity 0', withQuantity('0'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity -0', withQuantity('-0'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity -1', withQuantity('-1'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity 1.5', withQuantity('1.5'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity 1e400', withQuantity('1e400'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity as text', withQuantity('"2"'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity true', withQuantity('true'), 400, 'invalid-request', '/items/0/quantity'],
  ['quantity null', withQuantity('null'), 400, 'invalid-request', '/items/0/quantity'],
  ['price 0', withPrice('0'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['price -1', withPrice('-1'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['price 0.1', withPrice('0.1'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['price 2^53', withPrice('9007199254740992'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['price 2^53 + 1', withPrice('9007199254740993'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['price 1e400', withPrice('1e400'), 400, 'invalid-request', '/items/0/unitPrice'],
  ['a total beyond 2^53', withPrice('9007199254740991'), 400, 'invalid-request', '/items'],
  ['no items', withItems('[]'), 400, 'invalid-request', '/items'],
  [
    '101 items',
    withItems(`[${'{"sku":"a","quantity":1,"unitPrice":1},'.repeat(101).slice(0, -1)}]`),
    400,
    'invalid-request',
    '/items',
  ],
  [
    'a sku twice',
    withItems('[{"sku":"a","quantity":1,"unitPrice":1},{"sku":"a","quantity":1,"unitPrice":1}]'),
    400,
    'invalid-request',
    '/items',
  ],
  ['items as an object', withItems('{"0":{"sku":"a","quantity":1,"unitPrice":1}}'), 400, 'invalid-request', '/items'],
  ['a currency in lower case', spoiled('EUR', 'eur'), 400, 'invalid-request', '/currency'],
  ['a currency of two letters', spoiled('EUR', 'EU'), 400, 'invalid-request', '/currency'],
  ['a currency with a line break', spoiled('EUR', 'EUR\\n'), 400, 'invalid-request', '/currency'],
];

const HEADERS: readonly [name: string, headers: readonly string[], status: number, type: string][] = [
  ['no content type', KEY, 415, 'unsupported-media-type'],
  ['text', [...KEY, 'content-type', 'text/plain'], 415, 'unsupported-media-type'],
  ['a form', [...KEY, 'content-type', 'application/x-www-form-urlencoded'], 415, 'unsupported-media-type'],
  ['merge patch', [...KEY, 'content-type', 'application/merge-patch+json'], 415, 'unsupported-media-type'],
  ['a content type that is none', [...KEY, 'content-type', 'json'], 415, 'unsupported-media-type'],
  ['another charset', [...KEY, 'content-type', 'application/json; charset=iso-8859-1'], 415, 'unsupported-media-type'],
  ['a content encoding', [...KEY, ...JSON_TYPE, 'content-encoding', 'gzip'], 415, 'unsupported-media-type'],
  ['no key', JSON_TYPE, 400, 'invalid-idempotency-key'],
  ['an empty key', [...JSON_TYPE, 'idempotency-key', ''], 400, 'invalid-idempotency-key'],
  ['an empty quoted key', [...JSON_TYPE, 'idempotency-key', '""'], 400, 'invalid-idempotency-key'],
  ['a key of 256 characters', [...JSON_TYPE, 'idempotency-key', 'k'.repeat(256)], 400, 'invalid-idempotency-key'],
  ['a key with a space', [...JSON_TYPE, 'idempotency-key', 'a b'], 400, 'invalid-idempotency-key'],
  [
    'a key with a letter beyond ASCII',
    [...JSON_TYPE, 'idempotency-key', 'schl\u00fcssel'],
    400,
    'invalid-idempotency-key',
  ],
  ['an open quote', [...JSON_TYPE, 'idempotency-key', '"k'], 400, 'invalid-idempotency-key'],
  ['two different keys', [...JSON_TYPE, ...KEY, 'idempotency-key', 'other'], 400, 'invalid-idempotency-key'],
  ['the same key twice', [...JSON_TYPE, ...KEY, ...KEY], 400, 'invalid-idempotency-key'],
  ['a wait of 0', [...JSON_TYPE, ...KEY, 'prefer', 'wait=0'], 400, 'invalid-request'],
  ['a wait of 31', [...JSON_TYPE, ...KEY, 'prefer', 'wait=31'], 400, 'invalid-request'],
  ['a negative wait', [...JSON_TYPE, ...KEY, 'prefer', 'wait=-1'], 400, 'invalid-request'],
  ['a wait in parts', [...JSON_TYPE, ...KEY, 'prefer', 'wait=1.5'], 400, 'invalid-request'],
  ['a wait without a value', [...JSON_TYPE, ...KEY, 'prefer', 'wait'], 400, 'invalid-request'],
  ['a wait that is no number', [...JSON_TYPE, ...KEY, 'prefer', 'respond-async, wait=soon'], 400, 'invalid-request'],
];

const UNKNOWN_SAGA = 'sg_0198c5a0-7e1c-7000-8000-000000000001';
const ADDRESSES: readonly [request: string, status: number, type: string][] = [
  ['GET /', 404, 'not-found'],
  ['GET /v1', 404, 'not-found'],
  ['GET /v1/orders/', 404, 'not-found'],
  ['GET /v1/orders/ord_0198c5a0-7e1c-7000-8000-000000000001', 404, 'not-found'],
  ['GET /v1/orders/%00', 404, 'not-found'],
  ['GET /v1/orders/constructor', 404, 'not-found'],
  [`GET /v1/orders/${'x'.repeat(5_000)}`, 404, 'not-found'],
  [`GET /v1/sagas/${UNKNOWN_SAGA}`, 404, 'not-found'],
  ['GET /v1/sagas/sg_1', 404, 'not-found'],
  ["GET /v1/sagas/';drop%20schema%20settle;--", 404, 'not-found'],
  [`GET /v1/sagas/${UNKNOWN_SAGA}/events`, 404, 'not-found'],
  [`POST /v1/sagas/${UNKNOWN_SAGA}/cancel`, 404, 'not-found'],
  ['POST /v1/sagas/nothing/cancel', 404, 'not-found'],
  ['GET /problems/nothing', 404, 'not-found'],
  ['GET /problems/__proto__', 404, 'not-found'],
  ['GET /docs/..%2fpackage.json', 404, 'not-found'],
  ['GET /v1/orders', 405, 'method-not-allowed'],
  ['PUT /v1/orders', 405, 'method-not-allowed'],
  ['DELETE /v1/orders/x', 405, 'method-not-allowed'],
  ['PATCH /v1/sagas/x', 405, 'method-not-allowed'],
  ['POST /v1/sagas', 405, 'method-not-allowed'],
  ['GET /v1/sagas/x/cancel', 405, 'method-not-allowed'],
  ['OPTIONS /v1/orders', 405, 'method-not-allowed'],
  ['TRACE /v1/orders', 405, 'method-not-allowed'],
  ['PROPFIND /v1/orders', 405, 'method-not-allowed'],
  ['GET /v1/sagas?limit=0', 400, 'invalid-request'],
  ['GET /v1/sagas?limit=201', 400, 'invalid-request'],
  ['GET /v1/sagas?limit=1e2', 400, 'invalid-request'],
  ['GET /v1/sagas?limit=', 400, 'invalid-request'],
  ['GET /v1/sagas?limit=1&limit=2', 400, 'invalid-request'],
  ['GET /v1/sagas?state=done', 400, 'invalid-request'],
  ['GET /v1/sagas?type=Place%20Order', 400, 'invalid-request'],
  ['GET /v1/sagas?key=%00', 400, 'invalid-request'],
  ['GET /v1/sagas?key=', 400, 'invalid-request'],
  ['GET /v1/sagas?cursor=abc', 400, 'invalid-request'],
  ['GET /v1/sagas?colour=red', 400, 'invalid-request'],
  ['GET /v1/sagas?__proto__=1', 400, 'invalid-request'],
  ['GET /v1/%zz', 400, 'bad-http'],
  ['GET /v1/orders/%e0%a4%a', 400, 'bad-http'],
];

const BYTES: readonly [name: string, bytes: string, status: number, type: string][] = [
  ['no HTTP at all', 'hello\r\n\r\n', 400, 'bad-http'],
  ['an unknown method', 'ORDER /v1/orders HTTP/1.1\r\nhost: x\r\n\r\n', 400, 'bad-http'],
  ['a TLS hello', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc', 400, 'bad-http'],
  [
    'two lengths',
    'POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n',
    400,
    'bad-http',
  ],
  [
    'a bad chunk',
    'POST /v1/orders HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n',
    400,
    'bad-http',
  ],
  ['16 KiB of headers', `GET / HTTP/1.1\r\nhost: x\r\nbig: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
];

/** Who is refused for a limit is told the limit. */
const LIMITS: Readonly<Record<string, RegExp>> = {
  'body-too-large': /longer than 65536 bytes/,
  'headers-too-large': /longer than 16384 bytes/,
};

describe('bad input is a problem of its own kind, and stores nothing', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  beforeAll(async () => {
    api = await startTestApi(database.url);
  });
  afterAll(() => api.stop());
  afterEach(async () => {
    const { rows } = await api.pool.query('select id from settle.saga');
    expect(rows).toEqual([]);
    expect(api.starter.started).toEqual([]);
  });

  test.each(BODIES)('body: %s', async (...[, body, status, type, pointer]) => {
    // a row may lack its last cell: as a parameter of its own Jest would pass a callback for it
    const answer = await send(api.url, { method: 'POST', path: '/v1/orders', headers: [...KEY, ...JSON_TYPE], body });
    const problem = expectProblem(answer, status, type);
    expect(problem.detail).toMatch(LIMITS[type] ?? /./);
    if (pointer !== undefined) expect(problem.errors).toContainEqual(expect.objectContaining({ pointer }));
  });

  test.each(HEADERS)('headers: %s', async (_name, headers, status, type) => {
    expectProblem(await send(api.url, { method: 'POST', path: '/v1/orders', headers, body: GOOD }), status, type);
  });

  test.each(ADDRESSES)('address: %s', async (request, status, type) => {
    const [method, path] = request.split(' ') as [string, string];
    const answer = await send(api.url, { method, path });
    const problem = expectProblem(answer, status, type);
    if (status === 405) expect(answer.headers.allow).toMatch(/^(GET, HEAD|POST|GET, HEAD, POST)$/);
    if (path.includes('?'))
      expect(problem.errors).toEqual([expect.objectContaining({ parameter: expect.any(String) })]);
  });

  test.each(BYTES)('bytes: %s', async (_name, bytes, status, type) => {
    const text = await sendBytes(api.url, bytes);
    const [head = '', body = ''] = text.split('\r\n\r\n');
    const headers = { 'content-type': /^content-type: (.*)$/im.exec(head)?.[1] };
    const problem = expectProblem({ status: Number(head.split(' ')[1]), headers, body }, status, type);
    expect(problem.detail).toMatch(LIMITS[type] ?? /./);
  });

  test('a body that ends early is dropped without an answer of ours', async () => {
    const bytes = `POST /v1/orders HTTP/1.1\r\nhost: x\r\nidempotency-key: k\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n${GOOD}`;
    const { hostname, port } = new URL(api.url);
    const { connect } = await import('node:net');
    const socket = connect(Number(port), hostname, () => socket.end(bytes));
    socket.on('error', () => undefined);
    await new Promise((resolve) => socket.on('close', resolve).resume());
    expect((await fetch(`${api.url}/health/live`)).status).toBe(200);
  });

  test('each problem type is explained at its address', async () => {
    for (const [name, kind] of Object.entries(PROBLEMS)) {
      const response = await fetch(`${api.url}/problems/${name}`);
      expect(await response.json()).toEqual({ type: `/problems/${name}`, ...kind });
    }
  });
});
