import { Runtime } from '@temporalio/worker';
import type pg from 'pg';
import { scanHalfMessages } from '../../activities/half-message-scan.js';
import { decideHalfMessage } from '../../src/db/half-messages.js';
import { takeCheckTurn } from '../../src/db/half-message-work.js';
import type { ParticipantServer } from '../../src/participant/index.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { startHalfMessages, type HalfMessages, type Producer } from '../support/half-messages.js';
import { serveNotes } from '../support/notes-server.js';
import { notedAmount, openNotes, repeat } from '../support/participant-kit.js';
import { quietRuntime } from '../support/workflow-bundle.js';

const ledger = useDatabase('producer');
const own = useDatabase('accounts');
let notes: pg.Pool;
let participant: ParticipantServer;
let half: HalfMessages;

beforeAll(async () => {
  quietRuntime();
  notes = await openNotes(own.url);
  participant = await serveNotes(own.url);
  half = await startHalfMessages(ledger.url, { participantUrl: participant.url });
});
afterAll(async () => {
  await half.stop();
  await participant.stop();
  await notes.end();
  await Runtime.instance().shutdown();
});

const silent: Producer = () => 503;
const inState = (id: string, state: string): Promise<object> =>
  eventually(
    async () => {
      const message = await half.find(id);
      expect(message).toMatchObject({ state });
      return message;
    },
    { timeoutMs: 60_000 },
  );
/** Answers from a list, the last one for ever. */
const answers =
  (...list: ReturnType<Producer>[]): Producer =>
  () =>
    list.length > 1 ? list.shift()! : list[0]!;

test('a confirmed message is delivered once, under its effect key', async () => {
  const id = await half.prepare({ producer: silent, plan: { firstMs: 60_000 } });
  await half.decide(id, 'committed');
  expect(await inState(id, 'delivered')).toMatchObject({ attempts: 1, checks: 0, silences: 0, decidedBy: 'producer' });
  const { rows } = await notes.query('select effect_key, status, saga_id from notes.inbox where saga_id = $1', [id]);
  expect(rows).toEqual([{ effect_key: `${id}/message/do`, status: 'applied', saga_id: id }]);
  expect(await notedAmount(notes, id)).toBe(5);
});

test('a message that was rolled back is never delivered, and its producer is not asked', async () => {
  const id = await half.prepare({ producer: silent, plan: { firstMs: 60_000 } });
  await half.decide(id, 'rolled-back');
  expect(await eventually(() => half.client.workflow.getHandle(id).result())).toEqual({
    messageId: id,
    state: 'rolled-back',
  });
  expect([await half.find(id), await notedAmount(notes, id), half.asked.has(id)]).toMatchObject([
    { state: 'rolled-back', attempts: 0 },
    0,
    false,
  ]);
});

test('a producer that never says is asked, and what it answers holds both ways', async () => {
  const committed = await half.prepare({ producer: () => 'committed' });
  const rolledBack = await half.prepare({ producer: () => 'rolled-back' });
  expect(await inState(committed, 'delivered')).toMatchObject({ verdict: 'committed', decidedBy: 'check-back' });
  expect(await inState(rolledBack, 'rolled-back')).toMatchObject({ verdict: 'rolled-back', decidedBy: 'check-back' });
  expect(half.asked.get(committed)).toEqual([
    { messageId: committed, key: committed, type: 'notes.write', tenantId: 'default', preparedAt: expect.any(String) },
  ]);
  expect([await notedAmount(notes, committed), await notedAmount(notes, rolledBack)]).toEqual([5, 0]);
});

test('only answered checks count: outages, redirects and nonsense do not', async () => {
  const producer = answers(503, 'unknown', 302, 404, 200, 'unknown', 500, 'committed');
  const id = await half.prepare({ producer });
  expect(await inState(id, 'delivered')).toMatchObject({ checks: 2, silences: 5 });
});

test.each([
  ['never answers', () => 503, 'producer-silent'],
  ['never knows', () => 'unknown' as const, 'no-verdict'],
])(
  'a message whose producer %s is parked past the horizon, and a late verdict still holds',
  async (_, producer, code) => {
    const id = await half.prepare({ producer, plan: { horizonMs: 400 } });
    expect(await inState(id, 'parked')).toMatchObject({ parkReason: { code }, verdict: null, finishedAt: null });
    const asked = half.asked.get(id)!.length;
    expect(await half.decide(id, 'committed')).toBe('committed');
    expect(await inState(id, 'delivered')).toMatchObject({ decidedBy: 'producer', parkReason: null });
    expect(half.asked.get(id)).toHaveLength(asked);
  },
);

test('a parked message is asked after again when an operator says so', async () => {
  let isBack = false;
  const id = await half.prepare({ producer: () => (isBack ? 'committed' : 503), plan: { horizonMs: 200 } });
  await inState(id, 'parked');
  isBack = true;
  await half.operate(id, 'retry');
  expect(await inState(id, 'delivered')).toMatchObject({ decidedBy: 'check-back' });
});

describe('a message whose producer never says is decided by an operator', () => {
  test.each([
    ['confirm', 'delivered', 'committed', 5],
    ['discard', 'rolled-back', 'rolled-back', 0],
  ] as const)('%s: it is %s', async (action, state, verdict, amount) => {
    const id = await half.prepare({ producer: silent, plan: { horizonMs: 200 } });
    await inState(id, 'parked');
    await half.operate(id, action);
    expect(await inState(id, state)).toMatchObject({ verdict, decidedBy: 'operator', parkReason: null });
    expect(await eventually(() => half.client.workflow.getHandle(id).result())).toEqual({ messageId: id, state });
    expect(await notedAmount(notes, id)).toBe(amount);
    expect(await half.decide(id, 'committed')).toBe(verdict);
  });
});

describe('a message that its participant refuses is parked, until an operator', () => {
  const refused = async (): Promise<string> => {
    const id = await half.prepare({ producer: silent, payload: { amount: 13 } });
    await half.decide(id, 'committed');
    expect(await inState(id, 'parked')).toMatchObject({ verdict: 'committed', parkReason: { code: 'unlucky' } });
    return id;
  };

  test('edits it: another payload under the same key', async () => {
    const id = await refused();
    await half.operate(id, 'edit', { payload: { amount: 14 } });
    await inState(id, 'delivered');
    expect(await notedAmount(notes, id)).toBe(14);
  });

  test('resends it, which the participant looks at anew', async () => {
    const id = await refused();
    await half.operate(id, 'resend');
    await eventually(async () => expect(await half.find(id)).toMatchObject({ state: 'parked', attempts: 2 }));
    const { rows } = await notes.query('select revision, status from notes.inbox where saga_id = $1', [id]);
    expect(rows).toEqual([{ revision: 1, status: 'rejected' }]);
  });

  test.each([
    ['skip', 'delivered', { result: { by: 'hand' } }],
    ['discard', 'discarded', {}],
  ] as const)('ends it by %s: it is %s, and not sent again', async (action, state, given) => {
    const id = await refused();
    await half.operate(id, action, given);
    expect(await eventually(() => half.client.workflow.getHandle(id).result())).toEqual({ messageId: id, state });
    expect(await half.find(id)).toMatchObject({ state, attempts: 1, verdict: 'committed' });
    expect(await notedAmount(notes, id)).toBe(0);
  });
});

test('promise 7: messages that Temporal has lost, or never heard of, are driven again from the ledger', async () => {
  const unheard = await half.prepare({ producer: () => 'committed', isStarted: false });
  const untold = await half.prepare({ producer: silent, isStarted: false });
  await decideHalfMessage(
    half.pool,
    { tenantId: 'default', messageId: untold },
    { verdict: 'committed', by: 'producer' },
  );
  const lost = await half.prepare({ producer: () => 'committed', plan: { firstMs: 3_000 } });
  await eventually(() => half.client.workflow.getHandle(lost).terminate('as if Temporal had lost it'));
  const deaf = await half.prepare({ producer: silent, plan: { firstMs: 60_000 } });
  await eventually(() => half.client.workflow.getHandle(deaf).describe());
  // it has been looked at for so long that nothing was told any more
  await half.pool.query('update settle.half_message set scans = 20 where id = $1', [deaf]);
  await decideHalfMessage(
    half.pool,
    { tenantId: 'default', messageId: deaf },
    { verdict: 'committed', by: 'producer' },
  );
  await half.pool.query('update settle.half_message set due_at = clock_timestamp() where finished_at is null');
  expect(await scanHalfMessages(half.pool, half.starter, new AbortController().signal)).toMatchObject({ failed: 0 });
  for (const id of [unheard, untold, lost, deaf]) {
    await inState(id, 'delivered');
    expect(await notedAmount(notes, id)).toBe(5);
  }
});

test('of a confirm, a rollback and a check-back at the same moment one wins, a hundred times, and all are told the same', async () => {
  const winners = new Set<string>();
  await repeat(100, async (round) => {
    const id = await half.prepare({ producer: silent, isStarted: false });
    const key = { tenantId: 'default', messageId: id };
    const calls = [
      { verdict: 'committed', by: 'producer' },
      { verdict: 'rolled-back', by: 'producer' },
      { verdict: round % 2 ? 'committed' : 'rolled-back', by: 'check-back' },
    ] as const;
    const shifted = calls.map((_, n) => calls[(n + round) % 3]!);
    const standing = await Promise.all(shifted.map((call) => decideHalfMessage(half.pool, key, call)));
    expect(standing.filter((each) => each!.isNew)).toHaveLength(1);
    expect(
      new Set(standing.map((each) => `${each!.verdict} ${each!.decidedBy} ${each!.decidedAt.toISOString()}`)).size,
    ).toBe(1);
    expect((await half.find(id)).verdict).toBe(standing[0]!.verdict);
    winners.add(standing[0]!.verdict);
    await expect(
      half.pool.query(`update settle.half_message set verdict = $2 where id = $1`, [
        id,
        standing[0]!.verdict === 'committed' ? 'rolled-back' : 'committed',
      ]),
    ).rejects.toMatchObject({ code: '23514' });
  });
  expect(winners.size).toBe(2);
});

/** When messages may be asked after, in ms since 1970 on the database's clock, the earliest first. */
const turnsOf = async (ids: readonly string[]): Promise<{ readonly id: string; readonly at: number }[]> => {
  const { rows } = await half.pool.query<{ id: string; at: number }>(
    `select id, extract(epoch from turn_at)::float8 * 1000 as at from settle.half_message
      where id = any($1) order by turn_at`,
    [ids],
  );
  return rows;
};

test('messages whose turn is still to come give way, and are asked after in time', async () => {
  const slow = await startHalfMessages(ledger.url, {
    participantUrl: participant.url,
    checkRate: { perSecond: 10, burst: 1 },
  });
  const askedAt = new Map<string, number>();
  const producer: Producer = ({ messageId }) => {
    askedAt.set(messageId, Date.now());
    return 'rolled-back';
  };
  await Promise.all(Array.from({ length: 8 }, () => slow.prepare({ producer })));
  await eventually(() => expect(askedAt.size).toBe(8));
  const turns = await turnsOf([...askedAt.keys()]);
  for (let n = 1; n < turns.length; n++) expect(turns[n]!.at - turns[n - 1]!.at).toBeGreaterThan(99);
  for (const { id, at } of turns) expect(askedAt.get(id)! - at).toBeGreaterThan(-5);
  await slow.stop();
});

test('a storm of half messages asks one host no faster than its rate, and each message keeps its turn', async () => {
  const ids = await Promise.all(
    Array.from({ length: 300 }, () => half.prepare({ producer: silent, isStarted: false })),
  );
  const rate = { host: 'storm.example', perSecond: 50, burst: 50 };
  const waits: number[] = [];
  const beganAt = performance.now();
  await repeat(ids.length, async (n) => void waits.push((await takeCheckTurn(half.pool, ids[n]!, rate))!.waitMs));
  waits.sort((a, b) => a - b);
  const atOnce = waits.filter((waitMs) => waitMs === 0).length;
  // a slow machine takes longer than a moment to ask, and gains what the bucket refills meanwhile
  expect(atOnce).toBeGreaterThanOrEqual(50);
  expect(atOnce).toBeLessThanOrEqual(51 + (performance.now() - beganAt) / 20);
  const turns = await turnsOf(ids);
  for (let n = 50; n < turns.length; n++) expect(turns[n]!.at - turns[n - 50]!.at).toBeGreaterThan(995);
  const again = await takeCheckTurn(half.pool, ids[0]!, rate);
  expect(await turnsOf(ids)).toEqual(turns);
  expect(again!.waitMs).toBeLessThanOrEqual(waits.at(-1)!);
});
