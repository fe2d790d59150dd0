import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { loadConfig } from '../../src/config.js';
import { createWebhook, signatures, type Webhook } from '../../src/transports/webhook.js';

/** The example of the Standard Webhooks libraries, whose signature anybody can compute. */
const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const SAMPLE = { id: 'msg_p5jXN8AQM9LWM0D4loKWxJek', timestamp: 1_614_265_330, body: '{"test": 2432232314}' };
const keysOf = (text: string): readonly Buffer[] =>
  loadConfig({ SETTLE_WEBHOOK_URL: 'http://127.0.0.1/', SETTLE_WEBHOOK_SECRET: text }).webhook!.secrets;

test("a webhook is signed as the specification's libraries sign their example", () => {
  expect(signatures(keysOf(SECRET), SAMPLE)).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
});

test('while one key replaces another, both sign', () => {
  const other = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
  expect(signatures(keysOf(`${SECRET}, ${other}`), SAMPLE).split(' ')).toEqual([
    signatures(keysOf(SECRET), SAMPLE),
    signatures(keysOf(other), SAMPLE),
  ]);
});

test.each([
  [{ SETTLE_WEBHOOK_URL: 'http://127.0.0.1/' }, 'SETTLE_WEBHOOK_SECRET is unset: must be set together'],
  [{ SETTLE_WEBHOOK_SECRET: SECRET }, 'SETTLE_WEBHOOK_URL is unset: must be set together'],
  [{ SETTLE_WEBHOOK_URL: 'ftp://x/', SETTLE_WEBHOOK_SECRET: SECRET }, "SETTLE_WEBHOOK_URL is 'ftp://x/'"],
  [
    { SETTLE_WEBHOOK_URL: 'http://x/', SETTLE_WEBHOOK_SECRET: 'whsec_dG9vIHNob3J0' },
    'SETTLE_WEBHOOK_SECRET is (hidden): must be',
  ],
  [
    { SETTLE_WEBHOOK_URL: 'http://x/', SETTLE_WEBHOOK_SECRET: SECRET.slice(6) },
    'SETTLE_WEBHOOK_SECRET is (hidden): must be',
  ],
])('settings that cannot be are refused: %j', (env, message) => {
  expect(() => loadConfig(env)).toThrow(message);
});

describe('a webhook', () => {
  let answer: { status: number; headers?: Record<string, string> };
  const paths: string[] = [];
  const server = createServer((request, response) => {
    paths.push(request.url!);
    request.resume();
    response.writeHead(answer.status, answer.headers).end('secret of the other side');
  });
  let webhook: Webhook;
  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
    webhook = createWebhook({ url, secrets: keysOf(SECRET) });
  });
  afterAll(async () => {
    await webhook.close();
    await new Promise((resolve) => server.close(resolve));
  });

  test.each([
    [200, { kind: 'delivered' }],
    [204, { kind: 'delivered' }],
    [302, { kind: 'failed', error: 'answered 302' }],
    [410, { kind: 'gone', error: 'answered 410' }],
    [500, { kind: 'failed', error: 'answered 500' }],
  ])('that is answered %s: %j, and no redirect is followed', async (status, expected) => {
    answer = { status, headers: status === 302 ? { location: '/elsewhere' } : {} };
    expect(await webhook.send('ntc_1', {})).toEqual(expected);
    expect(paths).not.toContain('/elsewhere');
  });

  test('that nobody listens to has failed', async () => {
    const nobody = createWebhook({ url: 'http://127.0.0.1:1/', secrets: keysOf(SECRET) });
    expect(await nobody.send('ntc_1', {})).toMatchObject({ kind: 'failed' });
    await nobody.close();
  });
});
