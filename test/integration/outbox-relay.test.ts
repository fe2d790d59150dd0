import type pg from 'pg';
import { scanOutbox } from '../../activities/outbox-scan.js';
import { resendOutboxMessage } from '../../src/db/outbox-queries.js';
import { withTransaction } from '../../src/db/pool.js';
import type { ParticipantServer } from '../../src/participant/index.js';
import type { Envelope } from '../../src/saga/envelope.js';
import type { Outcome } from '../../src/saga/outcome.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { serveNotes } from '../support/notes-server.js';
import { answering, openOutbox, routesTo, type Outbox } from '../support/outbox.js';
import { notedAmount, openNotes } from '../support/participant-kit.js';

const ledger = useDatabase('producer');
const own = useDatabase('accounts');
const ORDERED = ['ordered.one', 'ordered.two'];
let notes: pg.Pool;
let participant: ParticipantServer;
let outbox: Outbox;

beforeAll(async () => {
  notes = await openNotes(own.url);
  participant = await serveNotes(own.url);
});
beforeEach(() => {
  outbox = openOutbox(ledger.url, routesTo(participant.url, ['notes.write', ...ORDERED]));
});
afterEach(async () => {
  // also what is begun only because of this
  const end = setInterval(() => waiting.forEach((each) => each(DONE)), 10);
  await outbox.pool.query('delete from settle.message_log');
  await outbox.stop();
  clearInterval(end);
  waiting.clear();
});
afterAll(async () => {
  await participant.stop();
  await notes.end();
});

const waiting = new Set<(outcome: Outcome) => void>();
/** An attempt that has no end before its test has one. */
const hang = (): Promise<Outcome> => new Promise((resolve) => waiting.add(resolve));

const DONE: Outcome = { kind: 'done', result: null };
const never = { stop: () => Promise.resolve() };
const expectState = (id: string, expected: object): Promise<void> =>
  eventually(async () => expect(await outbox.find(id)).toMatchObject(expected));

/** A participant without a network that remembers what it was sent. */
function remembering(answer: (envelope: Envelope) => Outcome | Promise<Outcome> = () => DONE): {
  readonly seen: Envelope[];
  readonly router: ReturnType<typeof answering>;
} {
  const seen: Envelope[] = [];
  const router = answering((envelope) => {
    seen.push(envelope);
    return answer(envelope);
  });
  return { seen, router };
}

test('a message is delivered once its transaction has committed, under its own effect key', async () => {
  outbox.relay();
  const id = await withTransaction(outbox.pool, (tx) => outbox.send({}, tx));
  await expectState(id, { state: 'delivered', attempts: 1, reason: null, dueAt: null });
  const { rows } = await notes.query('select effect_key, status, saga_id from notes.inbox where saga_id = $1', [id]);
  expect(rows).toEqual([{ effect_key: `${id}/message/do`, status: 'applied', saga_id: id }]);
  expect(await notedAmount(notes, id)).toBe(5);
});

test('a message of a transaction that is undone never existed', async () => {
  const { seen, router } = remembering();
  outbox.relay({ router });
  let undone = '';
  const failing = withTransaction(outbox.pool, async (tx) => {
    undone = await outbox.send({}, tx);
    throw new Error('the business row is refused');
  });
  await expect(failing).rejects.toThrow('refused');
  const id = await outbox.send();
  await expectState(id, { state: 'delivered' });
  expect(seen.map(({ messageId }) => messageId)).toEqual([id]);
  expect(await outbox.find(undone)).toBeUndefined();
});

test('a relay that hears of nothing finds what is due by its poll', async () => {
  outbox.relay({ listen: () => never });
  await expectState(await outbox.send(), { state: 'delivered' });
});

test('a relay whose connection broke listens on another, and looks for what it was not told meanwhile', async () => {
  outbox.relay({ pollMs: 60_000 });
  await expectState(await outbox.send(), { state: 'delivered' });
  const { rows } = await outbox.pool.query<{ isEnded: boolean }>(
    `select pg_terminate_backend(pid) as "isEnded" from pg_stat_activity
      where application_name = 'settle-listen' and datname = current_database()`,
  );
  expect(rows).toEqual([{ isEnded: true }]);
  await expectState(await outbox.send(), { state: 'delivered' });
});

test.each([
  ['refused', { kind: 'rejected', reason: { code: 'unlucky', message: 'no 13 here' } }, { state: 'dead', attempts: 1 }],
  ['done', DONE, { state: 'delivered', attempts: 1 }],
] as const)('a message that is %s is settled by its first attempt', async (_, outcome, expected) => {
  outbox.relay({ router: answering(() => outcome) });
  const id = await outbox.send();
  await expectState(id, { ...expected, reason: outcome.kind === 'rejected' ? outcome.reason : null });
});

test('a message without a route is a dead letter at once, with the remedy', async () => {
  outbox.relay();
  const id = await outbox.send({ type: 'nobody.knows' });
  await expectState(id, {
    state: 'dead',
    reason: { code: 'no-route', message: expect.stringContaining('SETTLE_ROUTES') },
  });
});

test('what has no outcome is tried again under the same effect key, then handed to a workflow', async () => {
  const { seen, router } = remembering(() => ({ kind: 'unknown', detail: 'HTTP 500' }));
  outbox.relay({ router });
  const id = await outbox.send();
  await eventually(async () => {
    const { rows } = await outbox.pool.query('select in_workflow from settle.message_log where effect_key like $1', [
      `${id}%`,
    ]);
    expect(rows).toEqual([{ in_workflow: true }]);
  });
  expect(await outbox.find(id)).toMatchObject({ state: 'pending', attempts: 5, lastError: 'HTTP 500' });
  expect(new Set(seen.map(({ effectKey, messageId }) => `${effectKey} ${messageId}`))).toEqual(
    new Set([`${id}/message/do ${id}`]),
  );
  expect(seen).toHaveLength(5);
});

test('while Temporal is away the relay has back what was to have a workflow, and delivers it', async () => {
  let isUp = false;
  outbox.relay({ router: answering(() => (isUp ? DONE : { kind: 'unknown', detail: 'HTTP 503' })) });
  const id = await outbox.send();
  const scan = (): Promise<object> =>
    scanOutbox(outbox.pool, { ensureRunning: () => Promise.reject(new Error('away')) }, new AbortController().signal);
  await eventually(async () => expect(await scan()).toMatchObject({ due: 1, failed: 1, started: 0 }));
  await eventually(async () => expect((await outbox.find(id)).attempts).toBeGreaterThan(5));
  isUp = true;
  await eventually(async () => {
    await scan();
    expect(await outbox.find(id)).toMatchObject({ state: 'delivered' });
  });
});

test('while the scan is away with Temporal the relay takes back what nobody looks after', async () => {
  const id = await outbox.send();
  const attended = await outbox.send();
  const aged = `case effect_key when $1 || '/message/do' then due_at - interval '31 s' else due_at end`;
  await outbox.pool.query(`update settle.message_log set in_workflow = true, due_at = ${aged}`, [id]);
  outbox.relay({ router: remembering().router });
  await expectState(id, { state: 'delivered' });
  expect(await outbox.find(attended)).toMatchObject({ state: 'pending', attempts: 0 });
});

test('a message that has a workflow is looked after less and less often, and by one scan at a time', async () => {
  const id = await outbox.send();
  const beganAt = Date.now();
  await outbox.pool.query('update settle.message_log set in_workflow = true, scans = 5');
  const asked: string[] = [];
  const restarter = {
    ensureRunning: ({ messageId }: { messageId: string }): Promise<'running'> => {
      asked.push(messageId);
      return Promise.resolve('running');
    },
  };
  const scan = (): Promise<object> => scanOutbox(outbox.pool, restarter, new AbortController().signal);
  await Promise.all([scan(), scan(), scan()]);
  await scan();
  expect(asked).toEqual([id]);
  expect((await outbox.find(id)).dueAt!.getTime()).toBeGreaterThan(beganAt + 3_000 * 2 ** 5 - 100);
});

test('a participant that asks for time is asked again when it has said', async () => {
  const at: number[] = [];
  const router = answering(() => {
    at.push(Date.now());
    return at.length > 1 ? DONE : { kind: 'working', retryAfterMs: 1_000 };
  });
  outbox.relay({ router });
  const id = await outbox.send();
  await expectState(id, { state: 'delivered', attempts: 2 });
  expect(at[1]! - at[0]!).toBeGreaterThanOrEqual(990);
});

test('a message that is to wait is not sent before its time', async () => {
  const { seen, router } = remembering();
  outbox.relay({ router });
  const sentAt = Date.now();
  const id = await outbox.send({ delay: '1 second' });
  await expectState(id, { state: 'delivered' });
  expect(Date.now() - sentAt).toBeGreaterThanOrEqual(990);
  expect(seen).toHaveLength(1);
});

test('a relay that dies holds a message no longer than its lease; the next sends it under the same effect key', async () => {
  const { seen, router } = remembering(() => (seen.length === 1 ? hang() : DONE));
  const id = await outbox.send();
  outbox.relay({ router, leaseMs: 5_500, pollMs: 60_000, listen: () => never });
  await eventually(() => expect(seen).toHaveLength(1));
  outbox.relay({ router });
  await expectState(id, { state: 'delivered', attempts: 2 });
  expect(new Set(seen.map(({ effectKey }) => effectKey)).size).toBe(1);
});

test('messages of one key are delivered one after the other, in the order of their transactions', async () => {
  const open = new Map<string, number>();
  const { seen, router } = remembering(async ({ payload }) => {
    const { key } = payload as { key: string };
    open.set(key, (open.get(key) ?? 0) + 1);
    expect(open.get(key)).toBe(1);
    await new Promise((resolve) => setImmediate(resolve));
    open.set(key, 0);
    return DONE;
  });
  outbox.relay({ router });
  outbox.relay({ router });
  const keys = ['a', 'b', 'c'];
  for (let n = 0; n < 20; n++) {
    await withTransaction(outbox.pool, async (tx) => {
      for (const key of keys) await outbox.send({ type: ORDERED[n % 2]!, orderKey: key, payload: { key, n } }, tx);
    });
  }
  await eventually(() => expect(seen).toHaveLength(60));
  for (const key of keys) {
    const order = seen.map(({ payload }) => payload as { key: string; n: number }).filter((each) => each.key === key);
    expect(order.map(({ n }) => n)).toEqual(Array.from({ length: 20 }, (_, n) => n));
  }
});

test('a dead message holds up those behind it under its key, and nobody else, until an operator sends it again', async () => {
  let isRefusing = true;
  const { seen, router } = remembering(({ payload }) =>
    payload === 'bad' && isRefusing ? { kind: 'rejected', reason: { code: 'bad', message: 'no' } } : DONE,
  );
  outbox.relay({ router });
  const bad = await outbox.send({ type: 'ordered.one', orderKey: 'k', payload: 'bad' });
  const behind = await outbox.send({ type: 'ordered.one', orderKey: 'k', payload: 'behind' });
  const other = await outbox.send({ type: 'ordered.one', orderKey: 'other', payload: 'other' });
  const unordered = await outbox.send({ orderKey: 'k' });
  await expectState(bad, { state: 'dead', reason: { code: 'bad' } });
  await Promise.all([expectState(other, { state: 'delivered' }), expectState(unordered, { state: 'delivered' })]);
  expect(await outbox.find(behind)).toMatchObject({ state: 'pending', attempts: 0 });
  isRefusing = false;
  expect([await resendOutboxMessage(outbox.pool, bad), await resendOutboxMessage(outbox.pool, other)]).toEqual([
    true,
    false,
  ]);
  await expectState(behind, { state: 'delivered' });
  expect(seen.map(({ payload, revision }) => [payload, revision]).filter(([payload]) => payload === 'bad')).toEqual([
    ['bad', 0],
    ['bad', 1],
  ]);
  expect(seen.at(-1)?.payload).toBe('behind');
});

test('a participant that does not answer holds up no other', async () => {
  const { seen, router } = remembering(({ type }) => (type === 'notes.write' ? hang() : DONE));
  outbox.relay({ router, concurrency: 2 });
  await Promise.all(Array.from({ length: 20 }, () => outbox.send()));
  await eventually(() => expect(seen).toHaveLength(2));
  const id = await outbox.send({ type: 'ordered.one' });
  await expectState(id, { state: 'delivered' });
});

test('a relay that is stopped finishes what it has begun and gives the rest back', async () => {
  let letGo = (): void => undefined;
  const held = new Promise<Outcome>((resolve) => (letGo = () => resolve(DONE)));
  const { seen, router } = remembering(() => held);
  const relay = outbox.relay({ router, concurrency: 2 });
  await withTransaction(outbox.pool, async (tx) => {
    for (let n = 0; n < 10; n++) await outbox.send({}, tx);
  });
  await eventually(() => expect(seen).toHaveLength(2));
  const stopped = relay.stop();
  letGo();
  await stopped;
  const { rows } = await outbox.pool.query(
    'select status, attempts, leased_until as lease, count(*)::int from settle.message_log group by 1, 2, 3 order by 1',
  );
  expect(rows).toEqual([
    { status: 'pending', attempts: 0, lease: null, count: 8 },
    { status: 'sent', attempts: 1, lease: null, count: 2 },
  ]);
});

test('an answer that the ledger cannot hold spoils no other of its batch', async () => {
  outbox.relay({
    router: answering(({ payload }) => ({ kind: 'done', result: payload === 'bad' ? { text: '\0' } : { ok: 1 } })),
  });
  const ids = await Promise.all(['bad', 'good'].map((payload) => outbox.send({ payload })));
  for (const id of ids) await expectState(id, { state: 'delivered' });
});
