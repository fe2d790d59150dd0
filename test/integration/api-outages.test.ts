import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import type { Ledger } from '../../src/api/ledger.js';
import type { Wrap } from '../../src/saga/wrap.js';
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
    api = await startTestApi(postgres.url('settle'), { patience: { connectMs: 2_000, queryMs: 5_000 } });
  });
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
    // the machine may stop for a moment, but hardly each time
    const times: number[] = [];
    const answers: Response[] = [];
    while (times.length < 3) {
      const began = Date.now();
      answers.push(
        ...(await Promise.all([
          ...Array.from({ length: 30 }, (_, n) => postOrder(api.url, { key: `during-${n}` })),
          ...paths.map((path) => fetch(`${api.url}${path}`)),
        ])),
      );
      times.push(Date.now() - began);
    }
    expect(Math.min(...times)).toBeLessThan(3_000);
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
  });
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
    const known = await first.json();
    await eventually(async () => {
      const replay = await postOrder(api.url, { key: 'first' });
      expect(await replay.json()).toEqual(known);
    });
    const health = await fetch(`${api.url}/health/ready`);
    expect(await health.json()).toEqual({ status: 'degraded', postgres: 'up', temporal: 'down' });

    await api.pool.query(`update settle.saga set state = 'running'`);
    await eventually(async () => expect((await postOrder(api.url)).status).toBe(202));
  });

  test('while it is full nearly all that comes is refused unread, also after a moment in which nothing came', async () => {
    const refusal = await eventually(async () => {
      expect((await postOrder(api.url)).status).toBe(503);
      // by then it has to look again
      await pause(300);
      const broken = await Promise.all(
        Array.from({ length: 60 }, () =>
          fetch(`${api.url}/v1/orders`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'idempotency-key': randomUUID() },
            body: '{ no JSON',
          }),
        ),
      );
      const refused = broken.filter(({ status }) => status === 503);
      expect(refused.length).toBeGreaterThan(0);
      expect(broken.length - refused.length).toBe(broken.filter(({ status }) => status === 400).length);
      return refused[0]!;
    });
    expect(await refusal.json()).toMatchObject({ type: '/problems/backlog-full' });
    expect((await fetch(`${api.url}/v1/sagas`)).status).toBe(200);
  });
});

describe('when more requests come than are answered', () => {
  const database = useDatabase('producer');
  let release = (): void => undefined;
  let api: TestApi;
  beforeAll(async () => {
    const released = new Promise<void>((resolve) => (release = resolve));
    const wrap: Wrap = (_name, port) => {
      if (!('acceptSaga' in port)) return port;
      const ledger = port as unknown as Ledger;
      const acceptSaga: Ledger['acceptSaga'] = (saga) => released.then(() => ledger.acceptSaga(saga));
      return { ...port, acceptSaga };
    };
    api = await startTestApi(database.url, { wrap });
  });
  afterAll(() => {
    release();
    return api.stop();
  });

  test('those beyond 512 are refused before their body is read, and none of the others is lost', async () => {
    const inTime = Promise.all(Array.from({ length: 512 }, () => postOrder(api.url)));
    const refusal = await eventually(async () => {
      const response = await fetch(`${api.url}/v1/orders`, { method: 'POST', body: 'unread' });
      expect(response.status).toBe(503);
      return response;
    });
    expect(refusal.headers.get('retry-after')).toBe('1');
    expect(await refusal.json()).toMatchObject({ type: '/problems/backlog-full' });
    expect((await fetch(`${api.url}/health/live`)).status).toBe(200);
    release();
    expect(new Set((await inTime).map(({ status }) => status))).toEqual(new Set([202]));
    await api.pool.query(`update settle.saga set state = 'running'`);
    await eventually(async () => expect((await postOrder(api.url)).status).toBe(202));
  }, 60_000);
});

describe('when a call of the ledger fails', () => {
  const database = useDatabase('producer');

  /** An API whose next acceptance commits, and is then reported as failed. */
  const startFailing = (error: Error): Promise<TestApi> => {
    let isArmed = true;
    const wrap: Wrap = (_name, port) => {
      if (!('acceptSaga' in port)) return port;
      const ledger = port as unknown as Ledger;
      const acceptSaga: Ledger['acceptSaga'] = async (saga) => {
        const accepted = await ledger.acceptSaga(saga);
        if (!isArmed) return accepted;
        isArmed = false;
        throw error;
      };
      return { ...port, acceptSaga };
    };
    return startTestApi(database.url, { wrap });
  };

  test('after the commit, the client is told to repeat, and its key then finds the one saga', async () => {
    const api = await startFailing(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }));
    const unsure = await postOrder(api.url, { key: 'unsure' });
    expect(unsure.status).toBe(503);
    expect(await unsure.json()).toMatchObject({ type: '/problems/database-unavailable' });
    const repeated = await postOrder(api.url, { key: 'unsure' });
    expect(repeated.status).toBe(202);
    const { sagaId } = (await repeated.json()) as { sagaId: string };
    const { rows } = await api.pool.query('select id from settle.saga where idempotency_key = $1', ['unsure']);
    expect(rows).toEqual([{ id: sagaId }]);
    await api.stop();
  });

  test('in a way that nobody foresaw, the answer says nothing of it and the log everything', async () => {
    const api = await startFailing(new Error('secret of the house'));
    const response = await postOrder(api.url);
    expect(response.status).toBe(500);
    const text = await response.text();
    expect(JSON.parse(text)).toMatchObject({ type: '/problems/internal-error' });
    expect(text).not.toContain('secret');
    expect(api.log()).toContain('secret of the house');
    await api.stop();
  });

  test('an address in use is an error that leaves nothing behind', async () => {
    const first = await startTestApi(database.url);
    const port = Number(new URL(first.url).port);
    await expect(startTestApi(database.url, { config: { port } })).rejects.toThrow('EADDRINUSE');
    await first.stop();
  });
});
