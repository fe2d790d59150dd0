import type { ApplicationFailure } from '@temporalio/common';
import { z } from 'zod';
import type { DispatchArgs } from '../../activities/saga-activities.js';
import { BrokerError } from '../../src/brokers/broker.js';
import type { ReplyOutcome } from '../../src/brokers/reply.js';
import { editMessage } from '../../src/db/operator-changes.js';
import { withTransaction } from '../../src/db/pool.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { defineMessage, defineSaga } from '../../src/saga/index.js';
import {
  repliesCounted,
  REPLIES,
  routesOver,
  startBrokerParticipant,
  startSender,
  type BrokerParticipant,
  type SeenEvent,
  type Sender,
  type SenderOptions,
} from '../support/broker-parts.js';
import { useDatabase, usePool } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { createMemoryServer, type MemoryServer } from '../support/memory-broker.js';
import { newSaga } from '../support/sagas.js';

const DONE: ReplyOutcome = { kind: 'done', result: { reservationId: 'r-1' } };
const REFUSED: ReplyOutcome = { kind: 'rejected', reason: { code: 'out-of-stock', message: 'no books\0' } };
const PAYLOAD = { orderId: 'o-1', items: [{ sku: 'book', quantity: 1 }] };
const TYPES = ['inventory.deduct', 'inventory.release'];

const database = useDatabase('producer');
const ledger = usePool(database);
let server: MemoryServer;
let senders: Sender[] = [];
let participant: BrokerParticipant;
let answer: (event: SeenEvent) => ReplyOutcome | undefined;

beforeEach(async () => {
  answer = () => DONE;
  server = createMemoryServer();
  participant = await startBrokerParticipant(server, (event) => answer(event));
  await ledger.query('delete from settle.reply_count');
});
afterEach(async () => {
  await Promise.all(senders.map((sender) => sender.stop()));
  senders = [];
  await participant.stop();
});

async function sender(options: Partial<SenderOptions> = {}): Promise<Sender> {
  const started = await startSender(database.url, server, { routes: routesOver(TYPES), ...options });
  senders.push(started);
  return started;
}

async function newStep({ pool }: Sender, change: Partial<DispatchArgs> = {}): Promise<DispatchArgs> {
  const { id } = await acceptSaga(pool, newSaga());
  const effect = { sagaId: id, step: 'stock', action: 'do' } as const;
  const step = { effect, tenantId: 'default', type: 'inventory.deduct', saga: 'place-order', payload: PAYLOAD };
  return { ...step, ...change };
}

const undoOf = (step: DispatchArgs): DispatchArgs => ({
  ...step,
  effect: { ...step.effect, action: 'undo' },
  type: 'inventory.release',
  payload: undefined,
});

const failureOf = (dispatched: Promise<unknown>): Promise<ApplicationFailure> =>
  dispatched.then(
    () => Promise.reject(new Error('it has not failed')),
    (error: ApplicationFailure) => error,
  );

interface Row {
  readonly status: string;
  readonly attempts: number;
  readonly result: unknown;
  readonly reason: unknown;
  readonly last_error: string | null;
}

async function rowOf({ effect: { sagaId, step, action } }: DispatchArgs): Promise<Row> {
  const { rows } = await ledger.query<Row>(
    'select status, attempts, result, reason, last_error from settle.message_log where effect_key = $1',
    [`${sagaId}/${step}/${action}`],
  );
  return rows[0]!;
}

test('an answer that comes over the broker is the outcome, and is acknowledged once it is recorded', async () => {
  const one = await sender();
  const step = await newStep(one);
  expect(await one.dispatch(step)).toEqual(DONE.result);
  expect(await rowOf(step)).toMatchObject({ status: 'sent', result: DONE.result });
  await eventually(() => expect(server.left(REPLIES, REPLIES)).toBe(0));
  const [{ attributes, key }] = participant.seen as [SeenEvent];
  expect(attributes).toMatchObject({ effectkey: `${step.effect.sagaId}/stock/do`, replyto: REPLIES, revision: '0' });
  expect(key).toBe(step.effect.sagaId);
  expect(await one.dispatch(step)).toEqual(DONE.result);
  expect(participant.seen).toHaveLength(1);
});

test('a refusal compensates, an undo’s refusal parks, and a participant that asks for time is given it', async () => {
  const one = await sender();
  const step = await newStep(one);
  answer = ({ attributes }) => (attributes['type'] === 'inventory.release' ? REFUSED : DONE);
  await one.dispatch(step);
  expect(await failureOf(one.dispatch(undoOf(step)))).toMatchObject({ type: 'ParkedError' });
  answer = () => REFUSED;
  expect(await failureOf(one.dispatch(await newStep(one)))).toMatchObject({
    type: 'RejectedError',
    details: [{ code: 'out-of-stock', message: 'no books' }],
  });
  answer = () => ({ kind: 'working', retryAfterMs: 7_000 });
  const failure = await failureOf(one.dispatch(await newStep(one)));
  expect(failure).toMatchObject({ type: 'StillWorking', nextRetryDelay: 7_000 });
});

test('no answer in time is unknown, and the message is sent again under the same effect key', async () => {
  const one = await sender();
  const step = await newStep(one, { timeoutMs: 500 });
  answer = () => (participant.seen.length > 1 ? DONE : undefined);
  expect(await failureOf(one.dispatch(step))).toMatchObject({ type: 'RetryableError' });
  expect((await rowOf(step)).last_error).toMatch(/has no reply within \d+ ms/);
  expect(await one.dispatch({ ...step, timeoutMs: 30_000 })).toEqual(DONE.result);
  const [first, second] = participant.seen;
  expect(second!.attributes['effectkey']).toBe(first!.attributes['effectkey']);
});

test('what is still being answered is not sent a second time: the next attempt waits for the rest of its time', async () => {
  const one = await sender();
  const step = await newStep(one, { timeoutMs: 500, patienceMs: 30_000 });
  answer = () => undefined;
  await failureOf(one.dispatch(step));
  const again = one.dispatch({ ...step, timeoutMs: 30_000 });
  await eventually(() => expect(one.desk.waiting()).toHaveLength(1));
  await participant.reply(participant.seen[0]!, DONE);
  expect(await again).toEqual(DONE.result);
  expect(participant.seen).toHaveLength(1);
  expect(await rowOf(step)).toMatchObject({ status: 'sent', attempts: 1 });
});

test('the answer to a message whose sender has died is recorded by another worker', async () => {
  const [one, other] = [await sender(), await sender()];
  const step = await newStep(one, { timeoutMs: 500 });
  answer = () => undefined;
  await failureOf(one.dispatch(step));
  one.crash();
  await participant.reply(participant.seen[0]!, DONE);
  await eventually(async () => expect(await rowOf(step)).toMatchObject({ status: 'sent', result: DONE.result }));
  expect(await other.dispatch(step)).toEqual(DONE.result);
  expect(participant.seen).toHaveLength(1);
});

test.each([
  ['done', DONE, undefined],
  ['refused', REFUSED, 'RejectedError'],
  ['asking for time', { kind: 'working', retryAfterMs: 7_000 }, 'StillWorking'],
] as const)('a worker that waits hears of an answer that another one takes: %s', async (_, outcome, type) => {
  // the first consumer of the group has all the answers
  await sender();
  const waiting = await sender();
  const step = await newStep(waiting, { timeoutMs: 30_000 });
  answer = () => outcome;
  const ended = waiting.dispatch(step);
  if (type) expect(await failureOf(ended)).toMatchObject({ type });
  else expect(await ended).toEqual(DONE.result);
});

test('an answer that cannot be recorded is not acknowledged, and comes again', async () => {
  const one = await sender();
  const step = await newStep(one, { timeoutMs: 500 });
  answer = () => undefined;
  await failureOf(one.dispatch(step));
  await ledger.query('alter table settle.message_log rename to away');
  await participant.reply(participant.seen[0]!, DONE);
  await eventually(() => expect(server.out(REPLIES, REPLIES)).toBe(1));
  await ledger.query('alter table settle.away rename to message_log');
  await eventually(async () => expect(await rowOf(step)).toMatchObject({ status: 'sent' }));
});

test('late, duplicate, forged, unasked and unreadable answers change nothing and are counted', async () => {
  const one = await sender();
  const step = await newStep(one);
  await one.dispatch(step);
  const [event] = participant.seen as [SeenEvent];
  const before = await rowOf(step);
  await participant.reply(event, DONE);
  await participant.reply(event, REFUSED);
  await participant.reply(event, { kind: 'done', result: { reservationId: 'another' } });
  await participant.reply(event, DONE, { token: 'made-up' });
  const otherRevision = { ...event.attributes, revision: '1' };
  await participant.reply({ ...event, attributes: otherRevision }, DONE);
  const unsaid = { ...event.attributes, effectkey: event.attributes['effectkey']!.replace('/stock/', '/other/') };
  const token = (await import('../../src/transports/reply-address.js')).createReplyAddress(
    'test',
    (await one.pool.query<{ secret: Buffer }>('select secret from settle.reply_secret')).rows[0]!.secret,
  );
  const asked = token.replyTo({ effectKey: unsaid.effectkey, revision: 0 }).token;
  await participant.reply({ ...event, attributes: unsaid }, DONE, { token: asked });
  for (const body of ['no JSON', '[]', `${'['.repeat(50_000)}${']'.repeat(50_000)}`]) {
    const message = { id: 'x', contentType: 'application/cloudevents+json', headers: {}, body: Buffer.from(body) };
    await one.client.publish(message, { to: REPLIES, timeoutMs: 30_000 });
  }
  await eventually(async () => {
    expect(await repliesCounted(one.pool)).toEqual({
      ...{ taken: 1, duplicate: 1, late: 2, forged: 2, unasked: 1, unreadable: 3 },
    });
  });
  expect(await rowOf(step)).toEqual(before);
});

test('an answer to a revision that an operator has replaced is late', async () => {
  const one = await sender();
  const step = await newStep(one, { timeoutMs: 500 });
  answer = () => undefined;
  await failureOf(one.dispatch(step));
  await withTransaction(one.pool, (tx) => editMessage(tx, step.effect, PAYLOAD));
  await participant.reply(participant.seen[0]!, DONE);
  await eventually(async () => expect(await repliesCounted(one.pool)).toEqual({ late: 1 }));
  expect(await rowOf(step)).toMatchObject({ status: 'pending', result: null });
});

test('a message that the broker does not take was not sent, and the failure names message, route and cause', async () => {
  const kinds = ['unroutable', 'full', 'unavailable', 'timeout'] as const;
  for (const kind of kinds) {
    const beforeStore = (_: object, { to }: { to: string }): void => {
      if (to === 'inventory') throw new BrokerError(kind, `it is ${kind}`);
    };
    const one = await sender({ client: { beforeStore } });
    const step = await newStep(one);
    expect(await failureOf(one.dispatch(step))).toMatchObject({ type: 'RetryableError' });
    expect(await rowOf(step)).toMatchObject({
      status: 'pending',
      last_error: expect.stringMatching(
        new RegExp(`^message '.{36}' on the route of 'inventory.deduct' to 'inventory' \\(rabbitmq\\): it is ${kind}$`),
      ),
    });
  }
  expect(participant.seen).toEqual([]);
});

test('a message that is too large is refused before it is sent, with its size and the limit', async () => {
  const one = await sender({ routes: routesOver(TYPES, { maxBytes: 1_024 }) });
  const items = Array.from({ length: 100 }, (_, n) => ({ sku: `book-${n}`, quantity: 1 }));
  const failure = await failureOf(one.dispatch(await newStep(one, { payload: { orderId: 'o-1', items } })));
  expect(failure).toMatchObject({
    ...{ type: 'RejectedError', nonRetryable: true },
    details: [{ code: 'too-large', message: expect.stringMatching(/it has \d{4} bytes, the limit is 1024$/) }],
  });
  expect(participant.seen).toEqual([]);
});

test('fire-and-forget: the broker’s acceptance is the outcome, and nobody is asked for an answer', async () => {
  const tell = defineMessage('inventory.tell', { payload: z.object({}), result: z.null(), fireAndForget: true });
  const definition = defineSaga('tell-all', { input: z.object({}), businessKey: () => 'x' })
    .message('stock', tell, () => ({}))
    .build();
  const asPivot = defineSaga('tell', { input: z.object({}), businessKey: () => 'x' });
  expect(() => asPivot.message('stock', tell, () => ({}), { kind: 'pivot' })).toThrow(/nothing can refuse it/);
  const one = await sender({ routes: routesOver([tell.type]), definitions: [definition as never] });
  answer = () => undefined;
  const step = await newStep(one, { type: tell.type, payload: {} });
  expect(await one.dispatch(step)).toBeNull();
  expect(await rowOf(step)).toMatchObject({ status: 'sent', result: null });
  await eventually(() => expect(participant.seen).toHaveLength(1));
  expect(participant.seen[0]!.attributes).not.toHaveProperty('replyto');
});

test.each([
  ['its result schema takes no null', { result: z.object({}) }, /let its result schema take that/],
  [
    'its undo is answered',
    { result: z.null(), undo: defineMessage('a.undo', { payload: z.object({}), result: z.object({}) }) },
    /its undo 'a\.undo' is not/,
  ],
  ['it is a pivot', { result: z.null(), kind: 'pivot' as const }, /nothing can refuse it/],
])('a contract that nobody answers is refused when %s', (_, contract, expected) => {
  const make = (): unknown => defineMessage('a.do', { payload: z.object({}), fireAndForget: true, ...contract });
  expect(make).toThrow(expected);
});

test('a sender that stops takes the answers to what it has sent, and leaves nothing open', async () => {
  const one = await sender();
  const steps = await Promise.all(Array.from({ length: 20 }, () => newStep(one)));
  const sent = steps.map((step) => one.dispatch(step));
  await Promise.all(sent);
  senders = [];
  await one.stop();
  expect(server.left(REPLIES, REPLIES)).toBe(0);
  const { rows } = await ledger.query(
    `select 1 from settle.message_log where status = 'pending' and attempts > 0
    and saga_id = any($1)`,
    [steps.map(({ effect }) => effect.sagaId)],
  );
  expect(rows).toEqual([]);
});
