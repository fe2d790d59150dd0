import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { keepInbox, type Consumer, type ConsumeOptions } from '../../src/participant/index.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { consumeNotes, DEAD, eventFor, noteHandlers, openOffice, QUICK, type Office } from '../support/consumers.js';
import { startProxy } from '../support/faults/proxy.js';
import type { MemoryClient } from '../support/memory-broker.js';
import { freshSagaId, notedAmount, openNotes } from '../support/participant-kit.js';

const database = useDatabase('inventory');
let pool: pg.Pool;
let office: Office;
const running: Consumer[] = [];

beforeAll(async () => {
  pool = await openNotes(database.url);
});

beforeEach(async () => {
  office = await openOffice();
  await pool.query('delete from notes.delivery_attempt');
});

afterEach(() => Promise.all(running.splice(0).map((consumer) => consumer.stop())));

afterAll(() => pool?.end());

async function start(options: Partial<ConsumeOptions> & { transport?: MemoryClient } = {}): Promise<Consumer> {
  const consumer = consumeNotes({ transport: office.connect(), databaseUrl: database.url, ...options });
  running.push(consumer);
  await consumer.ready;
  return consumer;
}

const untilDone = (): Promise<void> => eventually(() => expect(office.left()).toBe(0), { timeoutMs: 60_000 });

const attemptsOf = async (sagaId: string): Promise<readonly [number, number][]> => {
  const { rows } = await pool.query<{ revision: number; attempts: number }>(
    'select revision, attempts from notes.delivery_attempt where effect_key = $1 order by 1',
    [`${sagaId}/note/do`],
  );
  return rows.map(({ revision, attempts }) => [revision, attempts]);
};

/** An amount of 666 is a fault, every time. */
const handlers = noteHandlers((amount) => {
  if (amount === 666) throw new Error('no such page');
});

describe('a poison message', () => {
  it('is dead after 5 attempts, with the reason and the envelope as it came; its sender is told nothing', async () => {
    const sagaId = freshSagaId();
    const message = eventFor({ sagaId, payload: { amount: 666 }, mode: 'binary', key: 'k' });
    const consumer = await start({ handlers });
    await office.send(message);
    await untilDone();
    const [dead, ...more] = office.server.stored(DEAD);
    expect([more, office.replies()]).toEqual([[], []]);
    expect(dead).toMatchObject({ id: message.id, key: 'k', body: message.body, headers: message.headers });
    expect(dead!.headers).toMatchObject({
      'settle-dead-reason': 'attempts-exhausted',
      'settle-dead-message': 'begun 5 times: no such page',
      'settle-dead-attempts': '5',
      'settle-dead-from': 'notes',
    });
    expect([await notedAmount(pool, sagaId), await attemptsOf(sagaId)]).toEqual([0, [[0, 5]]]);
    expect(await consumer.registry.metrics()).toMatch(/retries_total\{from="notes",cause="fault",consumer="notes"\} 4/);
  });

  it('blocks nobody: all others settle while every poison one still waits for its next attempt', async () => {
    const sagas = Array.from({ length: 300 }, freshSagaId);
    const poison = Array.from({ length: 30 }, () => eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }));
    await office.send(...poison, ...sagas.map((sagaId) => eventFor({ sagaId })));
    await start({ handlers, concurrency: 2, prefetch: 64, retry: { firstMs: 600_000, maxMs: 600_000 } });
    await eventually(() => expect(office.left()).toBe(30), { timeoutMs: 200_000 });
    expect([office.replies().length, office.server.stored(DEAD)]).toEqual([300, []]);
  });

  it('that is handled at last leaves no count behind, and one that an operator sends again begins anew', async () => {
    const [heals, dies] = [freshSagaId(), freshSagaId()];
    let failures = 4;
    const mends = noteHandlers((amount) => {
      if (amount === 5 && failures-- > 0) throw new Error('not yet');
      if (amount === 666) throw new Error('never');
    });
    await start({ handlers: mends });
    await office.send(eventFor({ sagaId: heals }), eventFor({ sagaId: dies, payload: { amount: 666 } }));
    await untilDone();
    expect([await attemptsOf(heals), await attemptsOf(dies)]).toEqual([[], [[0, 5]]]);
    await office.send(eventFor({ sagaId: dies, payload: { amount: 666 }, revision: 1 }));
    await untilDone();
    expect(await attemptsOf(dies)).toEqual([
      [0, 5],
      [1, 5],
    ]);
    await office.send(eventFor({ sagaId: dies, revision: 2 }));
    await untilDone();
    expect([await attemptsOf(dies), await notedAmount(pool, dies)]).toEqual([[], 5]);
  });

  it('stays with the consumer until its dead letter is confirmed', async () => {
    let refusals = 3;
    const transport = office.connect({
      beforeStore: (_, { to }) => {
        if (to === DEAD && refusals-- > 0) throw new Error('full');
      },
    });
    await office.send(eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }));
    await start({ handlers, transport });
    await untilDone();
    expect(office.server.stored(DEAD)).toHaveLength(1);
    expect(refusals).toBeLessThan(0);
  });

  it('is told from an outage: an error that says "not now" while the database answers is believed for its time only', async () => {
    const slow = noteHandlers((amount) => {
      if (amount === 666) throw Object.assign(new Error('canceling statement due to timeout'), { code: '57014' });
    });
    const consumer = await start({ handlers: slow, retry: { ...QUICK, patienceMs: 300 } });
    await office.send(
      eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }),
      eventFor({ sagaId: freshSagaId() }),
    );
    await untilDone();
    expect(office.server.stored(DEAD)).toMatchObject([{ headers: { 'settle-dead-attempts': '5' } }]);
    expect(office.replies()).toMatchObject([{ outcome: { kind: 'done' } }]);
    expect(await consumer.registry.metrics()).toContain('cause="unavailable"');
  });

  it('leaves its count to the upkeep of the inbox, which removes what is older than the window', async () => {
    const [old, young] = [freshSagaId(), freshSagaId()];
    await pool.query(
      `insert into notes.delivery_attempt (consumer, effect_key, revision, attempts, at)
       values ('notes', $1 || '/note/do', 0, 5, now() - interval '32 days'),
              ('notes', $2 || '/note/do', 0, 5, now() - interval '30 days')`,
      [old, young],
    );
    await keepInbox(pool, { schema: 'notes', windowMs: 30 * 86_400_000 });
    expect([await attemptsOf(old), await attemptsOf(young)]).toEqual([[], [[0, 5]]]);
  });
});

describe('a message that ends the process', () => {
  it('is dead after it has done so 5 times; those that were under way beside it are applied once', async () => {
    const killer = freshSagaId();
    const others = Array.from({ length: 30 }, freshSagaId);
    // in the midst of those that are begun at the same time
    const left = new Map([...others.slice(0, 5), killer, ...others.slice(5)].map((sagaId) => [sagaId, false]));
    const dead: string[] = [];
    let kills = 0;
    while (left.size > 0 && kills < 20) {
      const child = spawn(
        process.execPath,
        [
          ...['--no-warnings', '--import', './test/support/typescript.js', './test/support/doomed-consumer.ts'],
          JSON.stringify({ databaseUrl: database.url, killer, messages: [...left] }),
        ],
        { cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['ignore', 'pipe', 'inherit'] },
      );
      const ended = once(child, 'close') as Promise<[number | null, string | null]>;
      for await (const line of createInterface(child.stdout)) {
        const [what, sagaId] = line.split(' ') as [string, string];
        if (what === 'acknowledged') left.delete(sagaId);
        if (what === 'dead') dead.push(sagaId);
        if (what === 'out') left.set(sagaId, true);
      }
      const [, signal] = await ended;
      if (signal === 'SIGKILL') kills += 1;
    }
    expect([kills, dead, left.size]).toEqual([5, [killer], 0]);
    expect(await Promise.all(others.map((sagaId) => notedAmount(pool, sagaId)))).toEqual(others.map(() => 5));
    expect([await notedAmount(pool, killer), await attemptsOf(killer)]).toEqual([0, [[0, 5]]]);
  });
});

describe('a database that is away', () => {
  it('counts no attempt and loses nothing: the consumer goes on by itself, and does not spin meanwhile', async () => {
    const sagas = Array.from({ length: 40 }, freshSagaId);
    const url = new URL(database.url);
    const proxy = await startProxy(Number(url.port));
    url.host = `127.0.0.1:${proxy.port}`;
    let begun = 0;
    const cut = noteHandlers(() => {
      begun += 1;
      if (begun === 10) proxy.set({ kind: 'reset' });
    });
    await office.send(...sagas.map((sagaId) => eventFor({ sagaId })));
    const consumer = await start({
      ...{ handlers: cut, inbox: { consumer: 'notes', databaseUrl: url.href } },
      retry: { ...QUICK, maxAttempts: 2 },
    });
    await eventually(async () => expect(await consumer.registry.metrics()).toContain('cause="unavailable"'));
    // 16 at once find out, perhaps twice; then one looks for all of them, with back-off
    const early = proxy.counters.connections;
    await eventually(() => expect(proxy.counters.connections).toBeGreaterThan(early + 3));
    expect(proxy.counters.connections).toBeLessThan(early + 60);
    expect([office.left() > 25, office.server.stored(DEAD)]).toEqual([true, []]);
    proxy.set({ kind: 'pass' });
    await untilDone();
    expect(await Promise.all(sagas.map((sagaId) => notedAmount(pool, sagaId)))).toEqual(sagas.map(() => 5));
    expect(new Set(office.replies().map(({ effectKey }) => effectKey)).size).toBe(40);
    expect(office.server.stored(DEAD)).toEqual([]);
    const { rows } = await pool.query('select from notes.delivery_attempt');
    expect(rows).toEqual([]);
    await consumer.stop();
    await proxy.close();
  });
});

describe('order', () => {
  it('holds per key where it is asked for, over failures too, while other keys go on', async () => {
    const sagas = Array.from({ length: 60 }, freshSagaId);
    const keyOf = new Map(sagas.map((sagaId, index) => [`${sagaId}/note/do`, `k-${index % 6}`]));
    const ended: string[] = [];
    const failed = new Set<string>();
    const stumble = noteHandlers((_, effectKey) => {
      const fails = !failed.has(effectKey) && Math.random() < 0.3;
      if (!fails) return void ended.push(effectKey);
      failed.add(effectKey);
      throw new Error('stumbled');
    });
    await office.send(
      ...sagas.map((sagaId) => eventFor({ sagaId, key: keyOf.get(`${sagaId}/note/do`), hasReply: false })),
    );
    await start({ handlers: stumble, ordered: true });
    await untilDone();
    for (const key of new Set(keyOf.values())) {
      const sent = [...keyOf].filter(([, other]) => other === key).map(([effectKey]) => effectKey);
      expect(ended.filter((effectKey) => keyOf.get(effectKey) === key)).toEqual(sent);
    }
  });
});

describe('stopping', () => {
  it('finishes what is under way, gives back the rest, and loses and repeats nothing', async () => {
    const sagas = Array.from({ length: 100 }, freshSagaId);
    const poison = freshSagaId();
    let begun = 0;
    const count = noteHandlers((amount) => {
      begun += 1;
      if (amount === 666) throw new Error('no such page');
    });
    await office.send(
      eventFor({ sagaId: poison, payload: { amount: 666 } }),
      ...sagas.map((sagaId) => eventFor({ sagaId })),
    );
    const retry = { firstMs: 600_000, maxMs: 600_000 };
    const first = await start({ handlers: count, concurrency: 4, retry });
    await eventually(() => expect(begun).toBeGreaterThan(10));
    await first.stop();
    await first.stop();
    const answered = office.replies().length;
    expect([office.left(), office.server.out('notes', 'notes')]).toEqual([101 - answered, 0]);
    expect(begun).toBe(answered + 1);
    await start({ handlers: count });
    await untilDone();
    expect(await Promise.all(sagas.map((sagaId) => notedAmount(pool, sagaId)))).toEqual(sagas.map(() => 5));
    expect([office.replies().length, office.server.stored(DEAD).length]).toEqual([100, 1]);
  });

  it('gives one attempt to what its broker still brings, as it would be late from there, and lets it go after a fault', async () => {
    const [late, poison] = [freshSagaId(), freshSagaId()];
    const brought = [eventFor({ sagaId: late }), eventFor({ sagaId: poison, payload: { amount: 666 } })];
    const client = office.connect();
    let ends: readonly string[] = [];
    const transport: MemoryClient = {
      ...client,
      subscribe: (subscription) => {
        const { handle, from } = subscription;
        const { ready, stop } = client.subscribe(subscription);
        const bring = async (): Promise<void> => {
          const each = brought.map((message) => handle({ ...message, from, isRedelivered: false }));
          ends = (await Promise.allSettled(each)).map(({ status }) => status);
          await stop();
        };
        return { ready, stop: bring };
      },
    };
    const consumer = await start({ handlers, transport });
    await consumer.stop();
    expect(ends).toEqual(['fulfilled', 'rejected']);
    expect(await notedAmount(pool, late)).toBe(5);
    expect(office.replies().map(({ outcome }) => outcome)).toEqual([{ kind: 'done', result: { noted: 5 } }]);
    expect(await attemptsOf(poison)).toEqual([[0, 1]]);
  });
});
