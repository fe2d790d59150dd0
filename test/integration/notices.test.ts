import { createHmac } from 'node:crypto';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { reportStuckSagas, tellWebhook } from '../../activities/notices.js';
import { recordState } from '../../src/db/saga-store.js';
import { createWebhook, type Webhook } from '../../src/transports/webhook.js';
import { seed, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { parkMessage } from '../support/parked-messages.js';
import { parkedSagas } from '../support/parked-sagas.js';

interface Told {
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

const SECRET = Buffer.alloc(32, 7);
const DAY_MS = 86_400_000;

describe('what people should hear of', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  let webhook: Webhook;
  const told: Told[] = [];
  const answers: number[] = [];
  const receiver = createServer((request, response) => {
    void request.toArray().then((chunks) => {
      told.push({ headers: request.headers, text: Buffer.concat(chunks as Buffer[]).toString() });
      response.writeHead(answers.shift() ?? 204).end();
    });
  });
  beforeAll(async () => {
    api = await startTestApi(database.url, { heartbeatMs: 200 });
    await seed(api.pool);
    await new Promise<void>((resolve) => receiver.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/`;
    webhook = createWebhook({ url, secrets: [SECRET] });
  });
  afterAll(async () => {
    await webhook.close();
    await new Promise((resolve) => receiver.close(resolve));
    await api.stop();
  });
  beforeEach(async () => {
    await tellWebhook(api.pool, { send: () => Promise.resolve({ kind: 'delivered' }), close: () => Promise.resolve() });
    told.length = 0;
    answers.length = 0;
  });
  const sagas = parkedSagas(() => api);

  const noticesOf = async (id: string): Promise<Record<string, unknown>[]> =>
    (
      await api.pool.query<Record<string, unknown>>('select * from settle.notice where subject_id = $1 order by at', [
        id,
      ])
    ).rows;
  const dueNow = (): Promise<unknown> =>
    api.pool.query(`update settle.notice set due_at = now() - interval '1 s' where due_at is not null`);

  test('parking writes its notice in the same transaction, once a parking', async () => {
    const [saga, message] = [await sagas.parkBackward(), await parkMessage(api)];
    expect(await noticesOf(saga)).toMatchObject([
      {
        type: 'saga.parked',
        cause: 'closed',
        data: { id: saga, type: 'place-order', step: 'stock', direction: 'undo' },
      },
    ]);
    expect(await noticesOf(message)).toMatchObject([{ type: 'half-message.parked', cause: 'unlucky' }]);
    const { rows } = await api.pool.query(
      `select (select xmin::text from settle.saga where id = $1) = (txid::text::bigint % 4294967296)::text as together
         from settle.notice where subject_id = $1`,
      [saga],
    );
    expect(rows).toEqual([{ together: true }]);
    await sagas.act(saga, { action: 'retry' });
    expect(await noticesOf(saga)).toHaveLength(1);
  });

  test('a parking that is recorded again, as its answer was lost, is told once', async () => {
    const sagaId = await sagas.parkForward();
    const reason = { code: 'effect-key-reused', message: 'stands for another request', step: 'stock' };
    await recordState(api.pool, { sagaId, state: 'parked', reason, action: 'do' });
    expect(await noticesOf(sagaId)).toHaveLength(1);
  });

  test('the webhook hears of it, signed, with the next action, and without payloads', async () => {
    const saga = await sagas.parkForward();
    expect(await tellWebhook(api.pool, webhook)).toBe(false);
    const [{ headers, text }] = told as [Told];
    const id = headers['webhook-id'] as string;
    const timestamp = headers['webhook-timestamp'] as string;
    const expected = createHmac('sha256', SECRET).update(`${id}.${timestamp}.${text}`).digest('base64');
    expect(headers['webhook-signature']).toBe(`v1,${expected}`);
    expect(Math.abs(Number(timestamp) - Date.now() / 1_000)).toBeLessThan(60);
    expect(JSON.parse(text)).toEqual({
      type: 'saga.parked',
      timestamp: expect.any(String),
      data: {
        ...{
          id: saga,
          type: 'place-order',
          businessKey: expect.any(String),
          state: 'parked',
          step: 'stock',
          direction: 'do',
        },
        reason: { code: 'effect-key-reused', message: 'stands for another request' },
        ...{ cause: 'effect-key-reused', nextAction: expect.stringContaining('settle show') },
      },
    });
    expect(await noticesOf(saga)).toMatchObject([{ id, delivered_at: expect.any(Date), due_at: null }]);
    await tellWebhook(api.pool, webhook);
    expect(told).toHaveLength(1);
  });

  test('what is not taken is told again later, under the same id, until it is', async () => {
    const message = await parkMessage(api);
    answers.push(503, 302);
    for (const attempts of [1, 2]) {
      await tellWebhook(api.pool, webhook);
      expect(await noticesOf(message)).toMatchObject([
        { attempts, delivered_at: null, last_error: expect.any(String) },
      ]);
      await tellWebhook(api.pool, webhook);
      expect(told).toHaveLength(attempts);
      await dueNow();
    }
    await tellWebhook(api.pool, webhook);
    expect(new Set(told.map(({ headers }) => headers['webhook-id'])).size).toBe(1);
    expect(await noticesOf(message)).toMatchObject([{ attempts: 3, delivered_at: expect.any(Date), last_error: null }]);
  });

  test('what nobody wants, or nobody took for three days, is given up and counted', async () => {
    const [gone, late] = [await parkMessage(api), await parkMessage(api)];
    await api.pool.query(`update settle.notice set at = now() - interval '4 days' where subject_id = $1`, [late]);
    answers.push(410);
    await tellWebhook(api.pool, webhook);
    for (const id of [gone, late])
      expect(await noticesOf(id)).toMatchObject([{ due_at: null, given_up_at: expect.any(Date) }]);
    expect(told).toHaveLength(1);
    expect(await (await fetch(`${api.url}/metrics`)).text()).toContain('settle_notices_open{state="given-up"} 2');
  });

  test('of several workers each notice has one, and one that died is taken over', async () => {
    await Promise.all(Array.from({ length: 10 }, () => parkMessage(api)));
    await Promise.all(Array.from({ length: 4 }, () => tellWebhook(api.pool, webhook)));
    expect(told.map(({ headers }) => headers['webhook-id'])).toHaveLength(10);
    await parkMessage(api);
    const dying = { send: () => Promise.reject(new Error('killed')), close: () => Promise.resolve() };
    await expect(tellWebhook(api.pool, dying)).rejects.toThrow('killed');
    await dueNow();
    await tellWebhook(api.pool, webhook);
    expect(told).toHaveLength(11);
  });

  test('a saga that is stuck is reported once for each cause, and shows in the metrics while it is', async () => {
    const sagaId = await sagas.accept();
    expect(await reportStuckSagas(api.pool)).toBe(0);
    await api.pool.query(`update settle.saga set accepted_at = now() - interval '2 minutes' where id = $1`, [sagaId]);
    const reports = await Promise.all([1, 2, 3].map(() => reportStuckSagas(api.pool)));
    expect(reports.reduce((sum, count) => sum + count)).toBe(1);
    await api.pool.query(`update settle.saga set state = 'running' where id = $1`, [sagaId]);
    expect(await reportStuckSagas(api.pool)).toBe(0);
    expect(await reportStuckSagas(api.pool, Date.now() + DAY_MS)).toBe(1);
    expect(await noticesOf(sagaId)).toMatchObject([
      { type: 'saga.stuck', cause: 'not-started' },
      { type: 'saga.stuck', cause: 'overdue', data: { id: sagaId, state: 'running', type: 'place-order' } },
    ]);
    const other = await startTestApi(database.url);
    const text = await (await fetch(`${other.url}/metrics`)).text();
    expect(text).toContain('settle_sagas_stuck{type="place-order",cause="overdue"} 1');
    expect(text).toMatch(/settle_sagas_stuck\{type="place-order",cause="parked"\} [1-9]/);
    expect(text).not.toContain('cause="not-started"');
    await other.stop();
  });

  test('the event stream tells a tenant of it, from where it was lost, and skips no slow transaction', async () => {
    const aborts = new AbortController();
    const open = async (headers: Record<string, string> = {}): Promise<{ text: string }> => {
      const response = await fetch(`${api.url}/v1/events`, { headers, signal: aborts.signal });
      expect(response.headers.get('content-type')).toContain('text/event-stream');
      const stream = { text: '' };
      void (async () => {
        for await (const chunk of response.body!) stream.text += Buffer.from(chunk as Uint8Array).toString();
      })().catch(() => undefined);
      await eventually(() => expect(stream.text).toContain('retry'));
      return stream;
    };
    const stream = await open();
    const slow = await api.pool.connect();
    await slow.query('begin');
    const insert = `insert into settle.notice (tenant_id, type, subject_id, cause, data)
                    values ('default', 'message.dead', 'om_slow', 'slow', '{}')`;
    await slow.query(insert);
    const message = await parkMessage(api);
    await parkMessage(api, { tenantId: 'other', code: 'not-ours' });
    await slow.query('commit');
    slow.release();
    await eventually(() => expect(stream.text).toContain(message));
    expect(stream.text.indexOf('"cause":"slow"')).toBeGreaterThan(0);
    expect(stream.text).toContain('event: half-message.parked');
    expect(stream.text).not.toContain('not-ours');
    const lastOfSlow = /id: (\S+)\nevent: message.dead/.exec(stream.text)![1]!;
    const again = await open({ 'last-event-id': lastOfSlow });
    await eventually(() => expect(again.text).toContain(message));
    expect(again.text).not.toContain('"cause":"slow"');
    aborts.abort();
    expect((await fetch(`${api.url}/v1/events`, { headers: { 'last-event-id': 'x' } })).status).toBe(400);
  });
});
