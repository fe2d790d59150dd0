import { pino } from 'pino';
import { v7 } from 'uuid';
import { createDecideSending } from '../../activities/decide-sending.js';
import { createDeliver } from '../../activities/deliver.js';
import { startRelay, type Relay } from '../../activities/relay.js';
import { createLedger } from '../../src/api/ledger.js';
import { createMetrics } from '../../src/api/metrics.js';
import type { Broker, BrokerHalves } from '../../src/brokers/broker.js';
import type { ReplyOutcome } from '../../src/brokers/reply.js';
import { decideHalfMessage, findHalfMessage, prepareHalfMessage } from '../../src/db/half-messages.js';
import { listen } from '../../src/db/listen.js';
import { OUTBOX_CHANNEL } from '../../src/db/outbox.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { recordState } from '../../src/db/saga-store.js';
import { CHECK_PLAN } from '../../src/saga/half-message.js';
import { messageId } from '../../src/saga/ids.js';
import { createBrokers } from '../../src/transports/brokers.js';
import { createRouter } from '../../src/transports/router.js';
import type { BrokerRoute } from '../../src/transports/transport.js';
import {
  routesOver,
  startBrokerParticipant,
  startSender,
  type BrokerParticipant,
  type SeenEvent,
  type Sender,
} from '../support/broker-parts.js';
import { useDatabase, usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { createMemoryServer, type MemoryServer } from '../support/memory-broker.js';
import { acceptOrder } from '../support/sagas.js';

const DONE: ReplyOutcome = { kind: 'done', result: { noted: 5 } };
const REFUSED: ReplyOutcome = { kind: 'rejected', reason: { code: 'unlucky', message: 'no 13 here' } };
const TYPE = 'notes.write';

const database = useDatabase('producer');
const ledger = usePool(database);
let server: MemoryServer;
let participant: BrokerParticipant;
let answer: (event: SeenEvent) => ReplyOutcome | undefined;
let senders: Sender[] = [];
let relays: Relay[] = [];

beforeEach(async () => {
  answer = () => DONE;
  server = createMemoryServer();
  participant = await startBrokerParticipant(server, (event) => answer(event));
  await ledger.query('delete from settle.message_log');
});
afterEach(async () => {
  await Promise.all(relays.map((relay) => relay.stop()));
  await Promise.all(senders.map((sender) => sender.stop()));
  [relays, senders] = [[], []];
  await participant.stop();
});

async function sender(route: Partial<BrokerRoute> = {}): Promise<Sender> {
  const started = await startSender(database.url, server, { routes: routesOver([TYPE], route) });
  senders.push(started);
  return started;
}

async function relay(route: Partial<BrokerRoute> = {}): Promise<Sender> {
  const one = await sender(route);
  const options = { ...one, routes: routesOver([TYPE], route), logger: pino({ level: 'silent' }), pollMs: 200 };
  const hear = (onWake: () => void): { stop(): Promise<void> } =>
    listen({ url: database.url, channel: OUTBOX_CHANNEL, onWake });
  relays.push(startRelay({ ...options, listen: hear }));
  return one;
}

async function send(orderKey: string | null = null): Promise<string> {
  const text = `select settle.send($1, '{"amount": 5}', order_key => $2) as id`;
  const { rows } = await ledger.query<{ id: string }>(text, [TYPE, orderKey]);
  return rows[0]!.id;
}

const expectRow = (id: string, expected: object): Promise<void> =>
  eventually(async () => {
    const text = 'select status, result, reason, attempts from settle.message_log where effect_key = $1';
    expect((await ledger.query<object>(text, [`${id}/message/do`])).rows[0]).toMatchObject(expected);
  });

async function halfMessage({ pool }: Sender): Promise<string> {
  const id = messageId(v7());
  await prepareHalfMessage(pool, {
    ...{ id, tenantId: 'default', idempotencyKey: id, requestHash: '', type: TYPE, payload: { amount: 5 } },
    ...{ checkBackUrl: 'http://127.0.0.1:1/', plan: CHECK_PLAN },
  });
  await decideHalfMessage(pool, { tenantId: 'default', messageId: id }, { verdict: 'committed', by: 'producer' });
  return id;
}

const deliverBy = (one: Sender): ReturnType<typeof createDeliver> =>
  createDeliver({ ...one, checkBackClient: { ask: () => Promise.reject(new Error('nobody asks')) } as never });

test('an outbox message is delivered over a broker once it is answered, with its order key as the message’s', async () => {
  await relay({ ordered: true });
  const [keyed, unkeyed] = [await send('book'), await send()];
  await expectRow(keyed, { status: 'sent', result: DONE.result, attempts: 1 });
  await expectRow(unkeyed, { status: 'sent' });
  expect(new Set(participant.seen.map(({ key }) => key))).toEqual(new Set(['book', unkeyed]));
});

test('an outbox message that is refused over a broker is a dead letter', async () => {
  await relay();
  answer = () => REFUSED;
  await expectRow(await send(), { status: 'dead', reason: REFUSED.reason });
});

test.each([
  ['done', DONE, { status: 'sent', result: DONE.result, attempts: 1 }],
  ['refused', REFUSED, { status: 'dead', reason: REFUSED.reason, attempts: 1 }],
] as const)('the answer to a relay that has died is recorded by another worker: %s', async (_, outcome, expected) => {
  const dying = await relay();
  await sender();
  answer = () => undefined;
  const id = await send();
  await eventually(() => expect(participant.seen).toHaveLength(1));
  dying.crash();
  await participant.reply(participant.seen[0]!, outcome);
  await expectRow(id, expected);
});

test('a fire-and-forget route delivers outbox and half messages once the broker has them', async () => {
  const one = await relay({ fireAndForget: true });
  answer = () => undefined;
  await expectRow(await send(), { status: 'sent', result: null });
  const id = await halfMessage(one);
  await deliverBy(one)({ messageId: id });
  const half = await findHalfMessage(one.pool, { tenantId: 'default', messageId: id });
  expect(half).toMatchObject({ state: 'delivered' });
});

test('a half message is delivered over a broker, whichever worker its answer reaches', async () => {
  await sender();
  const waiting = await sender();
  const id = await halfMessage(waiting);
  await deliverBy(waiting)({ messageId: id });
  const half = await findHalfMessage(waiting.pool, { tenantId: 'default', messageId: id });
  expect(half).toMatchObject({ state: 'delivered' });
  answer = () => REFUSED;
  const refused = deliverBy(waiting)({ messageId: await halfMessage(waiting) });
  await expect(refused).rejects.toMatchObject({ type: 'RejectedError' });
});

test('/metrics tells what has become of the answers, by all workers together', async () => {
  const one = await relay();
  await expectRow(await send(), { status: 'sent' });
  const metrics = createMetrics(createLedger(one.pool));
  await eventually(async () => {
    const { text } = await metrics.render();
    expect(text).toMatch(/^settle_replies_total\{transport="rabbitmq",verdict="taken"\} \d+$/m);
  });
});

describe('a broker’s half messages', () => {
  test('are delivered as the ledger says, and dropped once it no longer wants them', async () => {
    const one = await sender();
    const decide = createDecideSending(one.pool);
    const { id: sagaId } = await acceptOrder(one.pool);
    const effect = { sagaId, step: 'stock', action: 'do' } as const;
    answer = () => undefined;
    await one
      .dispatch({ effect, tenantId: 'default', type: TYPE, saga: 'x', payload: {}, timeoutMs: 50 })
      .catch(() => 0);
    const effectKey = `${sagaId}/stock/do`;
    expect(await decide({ effectKey, revision: 0 })).toBe('commit');
    expect(await decide({ effectKey, revision: 1 })).toBe('rollback');
    expect(await decide({ effectKey: effectKey.replace('stock', 'other'), revision: 0 })).toBe('rollback');
    const reason = { code: 'cancelled', message: 'by hand' };
    await withTransaction(one.pool, (tx) => recordState(tx, { sagaId, state: 'compensating', reason }));
    expect(await decide({ effectKey, revision: 0 })).toBe('rollback');
  });

  test('are asked after again while the ledger cannot be read', async () => {
    const away = createPool('postgres://nobody@127.0.0.1:1/none');
    expect(await createDecideSending(away)({ effectKey: 'sg_x/stock/do', revision: 0 })).toBe('unknown');
    await away.end();
  });

  test('carry a transactional route’s messages; what is rolled back was not sent', async () => {
    answer = () => undefined;
    const asked: string[] = [];
    const client = server.connect();
    const halves: Pick<Broker, 'openHalfMessages'> = {
      openHalfMessages: ({ decide, to }): BrokerHalves => ({
        publish: async (message) => {
          asked.push(message.id);
          const decision = await decide(message.id);
          if (decision === 'commit') await client.publish(message, { to, timeoutMs: 1_000 });
          return decision;
        },
        stop: () => Promise.resolve(),
      }),
    };
    const brokers = createBrokers({ rocketmq: 'memory' }, () => Promise.resolve({ ...client, ...halves }));
    const decisions = ['commit', 'rollback', 'unknown'] as const;
    const decide = (): Promise<(typeof decisions)[number]> => Promise.resolve(decisions[asked.length - 1]!);
    const route: BrokerRoute = { transport: 'rocketmq', to: 'inventory', transactional: true, fireAndForget: true };
    const router = createRouter({ [TYPE]: route }, { brokers, halves: { decide, onTrouble: () => undefined } });
    const envelope = {
      ...{ messageId: 'm-1', source: '/test', type: TYPE, time: new Date().toISOString(), sagaId: 'sg_1' },
      ...{ tenantId: 'default', effectKey: 'sg_1/note/do', revision: 3, payload: {} },
    };
    expect(await router.send(envelope, 1_000)).toEqual({ kind: 'done', result: null });
    expect(await router.send(envelope, 1_000)).toMatchObject({
      kind: 'unknown',
      detail: expect.stringContaining('no longer wants it'),
    });
    expect(await router.send(envelope, 1_000)).toMatchObject({ kind: 'unknown' });
    expect(asked).toEqual(['sg_1/note/do/3', 'sg_1/note/do/3', 'sg_1/note/do/3']);
    await eventually(() => expect(participant.seen).toHaveLength(1));
    await router.close();
  });
});
