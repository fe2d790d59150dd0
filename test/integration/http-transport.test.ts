import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Envelope } from '../../src/saga/envelope.js';
import { createRouter, type Router } from '../../src/transports/router.js';

const envelope: Envelope = {
  messageId: '0f4e0c0a-3a55-4d3e-9a4e-0d4b0f5f7a10',
  source: '/settle/place-order',
  type: 'test.ask',
  time: '2026-01-01T00:00:00.000Z',
  sagaId: 'sg_0198c5a0-7e1c-7000-8000-000000000001',
  tenantId: 'default',
  effectKey: 'sg_0198c5a0-7e1c-7000-8000-000000000001/ask/do',
  revision: 2,
  payload: { amount: 12 },
};

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

let server: Server;
let router: Router;
let answer: Answer = () => undefined;

beforeAll(async () => {
  server = createServer((request, response) => answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/ask`;
  router = createRouter({
    'test.ask': { transport: 'http', url },
    'test.closed': { transport: 'http', url: 'http://127.0.0.1:1/' },
    'test.brief': { transport: 'http', url, timeoutMs: 50 },
  });
});

afterAll(async () => {
  await router.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

const json =
  (status: number, body: unknown, headers: Record<string, string> = {}): Answer =>
  (request, response) => {
    request.resume();
    response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };

test('the payload is the body, and the attributes of CloudEvents are headers', async () => {
  let seen: { headers: IncomingMessage['headers']; body: string } | undefined;
  answer = (request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      seen = { headers: request.headers, body };
      response.end('{}');
    });
  };
  await router.send(envelope, 30_000);
  expect(JSON.parse(seen!.body)).toEqual({ amount: 12 });
  expect(seen!.headers).toMatchObject({
    'content-type': 'application/json',
    'ce-specversion': '1.0',
    'ce-id': envelope.messageId,
    'ce-source': '/settle/place-order',
    'ce-type': 'test.ask',
    'ce-time': envelope.time,
    'ce-sagaid': envelope.sagaId,
    'ce-tenantid': 'default',
    'ce-revision': '2',
    'idempotency-key': envelope.effectKey,
  });
});

test.each([
  [200, { a: 1 }, { kind: 'done', result: { a: 1 } }],
  [201, { a: 1 }, { kind: 'done', result: { a: 1 } }],
  [
    409,
    { code: 'out-of-stock', detail: 'no books' },
    { kind: 'rejected', reason: { code: 'out-of-stock', message: 'no books' } },
  ],
  [422, { title: 'Unprocessable' }, { kind: 'rejected', reason: { code: 'http-422', message: 'Unprocessable' } }],
  [404, 'nonsense', { kind: 'rejected', reason: { code: 'http-404', message: 'refused with HTTP 404' } }],
  [302, {}, { kind: 'unknown', detail: 'HTTP 302' }],
  [401, {}, { kind: 'unknown', detail: 'HTTP 401' }],
  [429, {}, { kind: 'unknown', detail: 'HTTP 429' }],
  [500, {}, { kind: 'unknown', detail: 'HTTP 500' }],
])('HTTP %i is understood by the outcome grammar', async (status, body, outcome) => {
  answer = json(status, body, { location: 'http://127.0.0.1:1/elsewhere' });
  expect(await router.send(envelope, 30_000)).toEqual(expect.objectContaining(outcome));
});

test('a participant that needs longer says when to ask again', async () => {
  answer = json(202, {}, { 'retry-after': '3' });
  expect(await router.send(envelope, 30_000)).toEqual({ kind: 'working', retryAfterMs: 3_000 });
});

test('an empty answer is done without a result', async () => {
  answer = (request, response) => {
    request.resume();
    response.writeHead(204).end();
  };
  expect(await router.send(envelope, 30_000)).toEqual({ kind: 'done', result: null });
});

const megabyte: Answer = (_, response) => response.end(JSON.stringify('x'.repeat(1_000_000)));

test.each<[string, Answer, number, string]>([
  ['an answer that takes too long', () => undefined, 200, 'no answer within 200 ms'],
  ['an answer that is too long', megabyte, 10_000, 'the answer is longer than 65536 bytes'],
])('%s is unknown, and names the limit', async (_, behaviour, limitMs, detail) => {
  answer = behaviour;
  expect(await router.send(envelope, limitMs)).toMatchObject({ kind: 'unknown', detail });
});

test.each<[string, Answer]>([
  ['an answer that is not JSON', (_, response) => response.end('<html>')],
  ['an answer of a megabyte', megabyte],
  ['a connection that is cut before the answer', (request) => request.socket.destroy()],
  [
    'a connection that is cut in the answer',
    (request, response) => {
      response.writeHead(200, { 'content-length': '1000' });
      response.write('{"a"');
      setImmediate(() => request.socket.destroy());
    },
  ],
  ['no answer at all', () => undefined],
  [
    'an answer that never ends',
    (_, response) => {
      response.writeHead(200);
      response.write('{');
    },
  ],
])('%s is unknown, and never an exception', async (_, behaviour) => {
  answer = behaviour;
  expect(await router.send(envelope, 200)).toMatchObject({ kind: 'unknown' });
});

test('a participant that does not listen is unknown', async () => {
  expect(await router.send({ ...envelope, type: 'test.closed' }, 1_000)).toMatchObject({ kind: 'unknown' });
});

test("the route's timeout holds when it is the shorter one", async () => {
  answer = () => undefined;
  expect(await router.send({ ...envelope, type: 'test.brief' }, 10_000)).toEqual({
    kind: 'unknown',
    detail: 'no answer within 50 ms',
  });
});

test('a message without a route is told what to add', async () => {
  expect(await router.send({ ...envelope, type: 'test.lost' }, 1_000)).toEqual({
    kind: 'unknown',
    detail: `message '${envelope.messageId}' has no route for type 'test.lost'; add one under that type in SETTLE_ROUTES`,
  });
});
