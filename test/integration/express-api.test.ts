import { randomUUID } from 'node:crypto';
import { acceptExpress } from '../../src/db/express.js';
import { countWaiting } from '../../src/db/saga-scan.js';
import type { Wrap } from '../../src/saga/wrap.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { openLane, startParticipant, type AnsweringParticipant, type TestLane } from '../support/express.js';
import { GOOD_ORDER, postOrder, seed, startTestApi, type TestApi } from '../support/api.js';

const database = useDatabase('producer');
let participant: AnsweringParticipant;
let lane: TestLane;
let api: TestApi;
/** What the lane's first write waits for, and how many sagas have come to it. */
let mayBegin = Promise.resolve();
let inside = 0;

beforeAll(async () => {
  participant = await startParticipant();
  lane = openLane(database.url, participant.url, {
    accept: async (start) => {
      inside += 1;
      await mayBegin;
      return acceptExpress(lane.pool, start);
    },
  });
  api = await startTestApi(database.url, { express: lane });
  await seed(api.pool);
});
afterAll(async () => {
  await api.stop();
  await lane.stop();
  await participant.close();
});
afterEach(() => {
  participant.answers.clear();
});

const WAIT = { prefer: 'wait=30' };

async function sagaOf(sagaId: string): Promise<Record<string, unknown>> {
  return (await (await fetch(`${api.url}/v1/sagas/${sagaId}`)).json()) as Record<string, unknown>;
}

test('the first answer carries the order, and a saga that goes well never has a workflow', async () => {
  const answer = await postOrder(api.url, { headers: WAIT });
  const order = (await answer.json()) as { sagaId: string };
  expect([answer.status, order]).toEqual([201, expect.objectContaining({ status: 'placed', total: 2_500 })]);
  await eventually(async () => {
    expect(await sagaOf(order.sagaId)).toMatchObject({
      state: 'completed',
      steps: [
        { name: 'order', status: 'done', attempts: 1 },
        { name: 'stock', status: 'done', attempts: 1 },
        { name: 'payment', status: 'done', attempts: 1 },
      ],
    });
  });
  expect(api.starter.started).toEqual([]);
});

test('a client that waits learns of a refusal from the same answer, and so does one that asks again', async () => {
  const request = { key: randomUUID(), headers: WAIT, body: { ...GOOD_ORDER, customerId: 'nobody' } };
  for (const replayed of [null, 'true']) {
    const answer = await postOrder(api.url, request);
    expect([answer.status, await answer.json()]).toEqual([
      409,
      expect.objectContaining({
        reason: { code: 'unknown-customer', message: expect.anything() as string, step: 'order' },
      }),
    ]);
    expect([null, answer.headers.get('idempotent-replayed')]).toContain(replayed);
  }
});

test('promise 2: the same key brings the same saga, and with another body it is refused', async () => {
  const key = randomUUID();
  const answers = await Promise.all(Array.from({ length: 10 }, () => postOrder(api.url, { key })));
  const bodies = await Promise.all(answers.map(async (answer) => JSON.stringify([answer.status, await answer.json()])));
  expect(new Set(bodies).size).toBe(1);
  expect((await postOrder(api.url, { key, body: { ...GOOD_ORDER, customerId: 'c-2' } })).status).toBe(422);
});

test('metrics say how many sagas went through the lane, and why others did not', async () => {
  participant.answers.set('accounts.debit', { status: 409, body: { code: 'no', detail: 'not today' } });
  await postOrder(api.url);
  await eventually(async () => {
    const text = await (await fetch(`${api.url}/metrics`)).text();
    expect(text).toMatch(/^settle_express_sagas_total\{type="place-order",ending="completed"\} [1-9]/m);
    expect(text).toMatch(/^settle_express_sagas_total\{type="place-order",ending="refused"\} 1$/m);
    expect(text).toMatch(/^settle_express_sagas_total\{type="place-order",ending="rejected"\} 1$/m);
  });
});

test('of a burst that the lane has no place for the rest is refused, and does not flood the other lane', async () => {
  let release = (): void => undefined;
  mayBegin = new Promise((resolve) => (release = resolve));
  inside = 0;
  const before = api.starter.started.length;
  const answers: Response[] = [];
  const all = Promise.all(
    Array.from({ length: 300 }, async () => answers.push(await postOrder(api.url, { headers: WAIT }))),
  );
  await eventually(() => expect(answers.length + inside).toBe(300)).finally(release);
  expect(inside).toBeGreaterThan(0);
  expect(new Set(answers.map(({ status, headers }) => [status, headers.get('retry-after')].join()))).toEqual(
    new Set(['503,1']),
  );
  await all;
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(inside);
  expect(api.starter.started).toHaveLength(before);
});

test('what goes straight through stands in no line: a full one stops it only while the lane rests, and not its way back', async () => {
  const wrap: Wrap = (_name, port) =>
    'countWaiting' in port ? { ...port, countWaiting: () => Promise.resolve({ waiting: 300, handedOver: 0 }) } : port;
  const full = await startTestApi(database.url, { express: lane, wrap });
  const order = async (): Promise<[number, string | null]> => {
    const { status, headers } = await postOrder(full.url, { headers: WAIT });
    return [status, headers.get('retry-after')];
  };
  try {
    await eventually(async () => expect(await order()).toEqual([201, null]));
    participant.answers.set('inventory.deduct', { status: 503 });
    await eventually(async () => expect(await order()).toEqual([503, '5']));
    expect(full.starter.started).toEqual([]);
    participant.answers.clear();
    await eventually(async () => {
      for (let n = 0; n < 5; n += 1) expect(await order()).toEqual([201, null]);
    });
  } finally {
    await full.stop();
  }
});

test('what the lane gives up counts: while no workflow is started no more come in than may wait, also where each is rejected', async () => {
  participant.answers.set('inventory.deduct', { status: 409, body: { code: 'sold-out', message: 'sold out' } });
  const { waiting } = await countWaiting(api.pool, 10_000);
  const full = await startTestApi(database.url, { express: lane, config: { backlog: waiting + 40 } });
  try {
    let accepted = 0;
    await eventually(async () => {
      const { status, headers } = await postOrder(full.url, { headers: WAIT });
      if (status === 201) accepted += 1;
      expect([status, headers.get('retry-after')]).toEqual([503, '5']);
    });
    expect(accepted).toBeGreaterThan(0);
  } finally {
    await full.stop();
  }
});
