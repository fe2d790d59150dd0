import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { keepInbox } from '../../src/participant/index.js';
import { poisonHandlers, useConsumers } from '../support/consumer-stand.js';
import { eventually } from '../support/eventually.js';
import { DEAD, eventFor, noteHandlers, QUICK } from '../support/consumers.js';
import { startProxy } from '../support/faults/proxy.js';
import { freshSagaId, notedAmount } from '../support/participant-kit.js';

const stand = useConsumers();

describe('a poison message', () => {
  it('is dead after 5 attempts, with the reason and the envelope as it came; its sender is told nothing', async () => {
    const sagaId = freshSagaId();
    const message = eventFor({ sagaId, payload: { amount: 666 }, mode: 'binary', key: 'k' });
    const consumer = await stand.start({ handlers: poisonHandlers });
    await stand.office.send(message);
    await stand.untilDone();
    const [dead, ...more] = stand.office.server.stored(DEAD);
    expect([more, stand.office.replies()]).toEqual([[], []]);
    expect(dead).toMatchObject({ id: message.id, key: 'k', body: message.body, headers: message.headers });
    expect(dead!.headers).toMatchObject({
      'settle-dead-reason': 'attempts-exhausted',
      'settle-dead-message': 'begun 5 times: no such page',
      'settle-dead-attempts': '5',
      'settle-dead-from': 'notes',
    });
    expect([await notedAmount(stand.pool, sagaId), await stand.attemptsOf(sagaId)]).toEqual([0, [[0, 5]]]);
    expect(await consumer.registry.metrics()).toMatch(/retries_total\{from="notes",cause="fault",consumer="notes"\} 4/);
  });

  it('blocks nobody: all others settle while every poison one still waits for its next attempt', async () => {
    const sagas = Array.from({ length: 300 }, freshSagaId);
    const poison = Array.from({ length: 30 }, () => eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }));
    await stand.office.send(...poison, ...sagas.map((sagaId) => eventFor({ sagaId })));
    await stand.start({
      handlers: poisonHandlers,
      concurrency: 2,
      prefetch: 64,
      retry: { firstMs: 600_000, maxMs: 600_000 },
    });
    await eventually(() => expect(stand.office.left()).toBe(30), { timeoutMs: 200_000 });
    expect([stand.office.replies().length, stand.office.server.stored(DEAD)]).toEqual([300, []]);
  });

  it('that is handled at last leaves no count behind, and one that an operator sends again begins anew', async () => {
    const [heals, dies] = [freshSagaId(), freshSagaId()];
    let failures = 4;
    const mends = noteHandlers((amount) => {
      if (amount === 5 && failures-- > 0) throw new Error('not yet');
      if (amount === 666) throw new Error('never');
    });
    await stand.start({ handlers: mends });
    await stand.office.send(eventFor({ sagaId: heals }), eventFor({ sagaId: dies, payload: { amount: 666 } }));
    await stand.untilDone();
    expect([await stand.attemptsOf(heals), await stand.attemptsOf(dies)]).toEqual([[], [[0, 5]]]);
    await stand.office.send(eventFor({ sagaId: dies, payload: { amount: 666 }, revision: 1 }));
    await stand.untilDone();
    expect(await stand.attemptsOf(dies)).toEqual([
      [0, 5],
      [1, 5],
    ]);
    await stand.office.send(eventFor({ sagaId: dies, revision: 2 }));
    await stand.untilDone();
    expect([await stand.attemptsOf(dies), await notedAmount(stand.pool, dies)]).toEqual([[], 5]);
  });

  it('stays with the consumer until its dead letter is confirmed', async () => {
    let refusals = 3;
    const transport = stand.office.connect({
      beforeStore: (_, { to }) => {
        if (to === DEAD && refusals-- > 0) throw new Error('full');
      },
    });
    await stand.office.send(eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }));
    await stand.start({ handlers: poisonHandlers, transport });
    await stand.untilDone();
    expect(stand.office.server.stored(DEAD)).toHaveLength(1);
    expect(refusals).toBeLessThan(0);
  });

  it('is told from an outage: an error that says "not now" while the database answers is believed for its time only', async () => {
    const slow = noteHandlers((amount) => {
      if (amount === 666) throw Object.assign(new Error('canceling statement due to timeout'), { code: '57014' });
    });
    const consumer = await stand.start({ handlers: slow, retry: { ...QUICK, patienceMs: 300 } });
    await stand.office.send(
      eventFor({ sagaId: freshSagaId(), payload: { amount: 666 } }),
      eventFor({ sagaId: freshSagaId() }),
    );
    await stand.untilDone();
    expect(stand.office.server.stored(DEAD)).toMatchObject([{ headers: { 'settle-dead-attempts': '5' } }]);
    expect(stand.office.replies()).toMatchObject([{ outcome: { kind: 'done' } }]);
    expect(await consumer.registry.metrics()).toContain('cause="unavailable"');
  });

  it('leaves its count to the upkeep of the inbox, which removes what is older than the window', async () => {
    const [old, young] = [freshSagaId(), freshSagaId()];
    await stand.pool.query(
      `insert into notes.delivery_attempt (consumer, effect_key, revision, attempts, at)
       values ('notes', $1 || '/note/do', 0, 5, now() - interval '32 days'),
              ('notes', $2 || '/note/do', 0, 5, now() - interval '30 days')`,
      [old, young],
    );
    await keepInbox(stand.pool, { schema: 'notes', windowMs: 30 * 86_400_000 });
    expect([await stand.attemptsOf(old), await stand.attemptsOf(young)]).toEqual([[], [[0, 5]]]);
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
          JSON.stringify({ databaseUrl: stand.databaseUrl, killer, messages: [...left] }),
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
    expect(await Promise.all(others.map((sagaId) => notedAmount(stand.pool, sagaId)))).toEqual(others.map(() => 5));
    expect([await notedAmount(stand.pool, killer), await stand.attemptsOf(killer)]).toEqual([0, [[0, 5]]]);
  });
});

describe('a database that is away', () => {
  it('counts no attempt and loses nothing: the consumer goes on by itself, and does not spin meanwhile', async () => {
    const sagas = Array.from({ length: 40 }, freshSagaId);
    const url = new URL(stand.databaseUrl);
    const proxy = await startProxy(Number(url.port));
    url.host = `127.0.0.1:${proxy.port}`;
    let begun = 0;
    const cut = noteHandlers(() => {
      begun += 1;
      if (begun === 10) proxy.set({ kind: 'reset' });
    });
    await stand.office.send(...sagas.map((sagaId) => eventFor({ sagaId })));
    const consumer = await stand.start({
      ...{ handlers: cut, inbox: { consumer: 'notes', databaseUrl: url.href } },
      retry: { ...QUICK, maxAttempts: 2 },
    });
    await eventually(async () => expect(await consumer.registry.metrics()).toContain('cause="unavailable"'));
    // 16 at once find out, perhaps twice; then one looks for all of them, with back-off
    const early = proxy.counters.connections;
    await eventually(() => expect(proxy.counters.connections).toBeGreaterThan(early + 3));
    expect(proxy.counters.connections).toBeLessThan(early + 60);
    expect([stand.office.left() > 25, stand.office.server.stored(DEAD)]).toEqual([true, []]);
    proxy.set({ kind: 'pass' });
    await stand.untilDone();
    expect(await Promise.all(sagas.map((sagaId) => notedAmount(stand.pool, sagaId)))).toEqual(sagas.map(() => 5));
    expect(new Set(stand.office.replies().map(({ effectKey }) => effectKey)).size).toBe(40);
    expect(stand.office.server.stored(DEAD)).toEqual([]);
    const { rows } = await stand.pool.query('select from notes.delivery_attempt');
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
    await stand.office.send(
      ...sagas.map((sagaId) => eventFor({ sagaId, key: keyOf.get(`${sagaId}/note/do`), hasReply: false })),
    );
    await stand.start({ handlers: stumble, ordered: true });
    await stand.untilDone();
    for (const key of new Set(keyOf.values())) {
      const sent = [...keyOf].filter(([, other]) => other === key).map(([effectKey]) => effectKey);
      expect(ended.filter((effectKey) => keyOf.get(effectKey) === key)).toEqual(sent);
    }
  });
});
