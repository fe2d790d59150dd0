import { startTestPostgres, type TestPostgres } from '../../src/dev/postgres.js';
import { migrate } from '../../src/db/migrate.js';
import { postOrder, startTestApi, type TestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';

describe('without PostgreSQL', () => {
  let postgres: TestPostgres;
  let api: TestApi;
  beforeAll(async () => {
    postgres = await startTestPostgres(['settle']);
    await migrate(postgres.url('settle'));
    api = await startTestApi(postgres.url('settle'));
  }, 60_000);
  afterAll(async () => {
    await api.stop();
    await postgres.stop();
  });

  test('every request is a 503 within 3 s, and the same key is accepted once it is back', async () => {
    expect((await postOrder(api.url, { key: 'before' })).status).toBe(202);
    const waiting = postOrder(api.url, { key: 'waiting', headers: { prefer: 'wait=2' } });
    await eventually(() => expect(api.starter.started).toHaveLength(2));
    const stream = await fetch(`${api.url}/v1/sagas/${api.starter.started[0]!.id}/events`);
    process.kill(postgres.pid, 'SIGKILL');
    expect((await waiting).status).toBe(202);

    const paths = ['/v1/sagas', `/v1/sagas/${api.starter.started[0]!.id}`, '/health/ready'];
    const began = Date.now();
    const answers = await Promise.all([
      ...Array.from({ length: 30 }, (_, n) => postOrder(api.url, { key: `during-${n}` })),
      ...paths.map((path) => fetch(`${api.url}${path}`)),
    ]);
    expect(Date.now() - began).toBeLessThan(3_000);
    for (const answer of answers) {
      expect(answer.status).toBe(503);
      expect(answer.headers.get('retry-after')).toBe('1');
      expect(await answer.json()).toMatchObject({ type: '/problems/database-unavailable' });
    }
    expect((await fetch(`${api.url}/health/live`)).status).toBe(200);
    expect((await fetch(`${api.url}/metrics`)).status).toBe(200);

    await postgres.restart();
    await eventually(async () => expect((await postOrder(api.url, { key: 'during-0' })).status).toBe(202));
    const replay = await postOrder(api.url, { key: 'before' });
    expect(replay.headers.get('idempotent-replayed')).toBe('true');
    expect((await fetch(`${api.url}/health/ready`)).status).toBe(200);
    await stream.body!.cancel();
  }, 60_000);
});

describe('without Temporal', () => {
  const database = useDatabase('producer');
  let api: TestApi;
  beforeAll(async () => {
    api = await startTestApi(database.url, { config: { backlog: 3 } });
  });
  afterAll(() => api.stop());

  test('orders are accepted until the backlog is full, then refused with Retry-After; what is known is answered', async () => {
    api.starter.isUp = false;
    const first = await postOrder(api.url, { key: 'first' });
    expect(first.status).toBe(202);
    const refusal = await eventually(async () => {
      const response = await postOrder(api.url);
      expect(response.status).toBe(503);
      return response;
    });
    expect(refusal.headers.get('retry-after')).toBe('5');
    expect(await refusal.json()).toMatchObject({ type: '/problems/backlog-full' });
    const replay = await postOrder(api.url, { key: 'first' });
    expect(await replay.json()).toEqual(await first.json());
    const health = await fetch(`${api.url}/health/ready`);
    expect(await health.json()).toEqual({ status: 'degraded', postgres: 'up', temporal: 'down' });

    await api.pool.query(`update settle.saga set state = 'running'`);
    await eventually(async () => expect((await postOrder(api.url)).status).toBe(202));
  });
});
