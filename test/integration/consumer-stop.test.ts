import type { BrokerMessage } from '../../src/brokers/broker.js';
import { serveParticipant } from '../../src/participant/index.js';
import { poisonHandlers, useConsumers } from '../support/consumer-stand.js';
import { eventually } from '../support/eventually.js';
import { DEAD, eventFor, noteHandlers } from '../support/consumers.js';
import type { MemoryClient } from '../support/memory-broker.js';
import { freshSagaId, notedAmount } from '../support/participant-kit.js';

const stand = useConsumers();

describe('a consumer that stops', () => {
  it('finishes what is under way, gives back the rest, and loses and repeats nothing', async () => {
    const sagas = Array.from({ length: 100 }, freshSagaId);
    const poison = freshSagaId();
    let begun = 0;
    const count = noteHandlers((amount) => {
      begun += 1;
      if (amount === 666) throw new Error('no such page');
    });
    await stand.office.send(
      eventFor({ sagaId: poison, payload: { amount: 666 } }),
      ...sagas.map((sagaId) => eventFor({ sagaId })),
    );
    const retry = { firstMs: 600_000, maxMs: 600_000 };
    const first = await stand.start({ handlers: count, concurrency: 4, retry });
    await eventually(() => expect(begun).toBeGreaterThan(10));
    await first.stop();
    await first.stop();
    const answered = stand.office.replies().length;
    expect([stand.office.left(), stand.office.server.out('notes', 'notes')]).toEqual([101 - answered, 0]);
    expect(begun).toBe(answered + 1);
    await stand.start({ handlers: count });
    await stand.untilDone();
    expect(await Promise.all(sagas.map((sagaId) => notedAmount(stand.pool, sagaId)))).toEqual(sagas.map(() => 5));
    expect([stand.office.replies().length, stand.office.server.stored(DEAD).length]).toEqual([100, 1]);
  });

  it('gives one attempt to what its broker still brings, as it would be late from there, and lets it go after a fault', async () => {
    const [late, poison] = [freshSagaId(), freshSagaId()];
    const brought = [eventFor({ sagaId: late }), eventFor({ sagaId: poison, payload: { amount: 666 } })];
    const client = stand.office.connect();
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
    const consumer = await stand.start({ handlers: poisonHandlers, transport });
    await consumer.stop();
    expect(ends).toEqual(['fulfilled', 'rejected']);
    expect(await notedAmount(stand.pool, late)).toBe(5);
    expect(stand.office.replies().map(({ outcome }) => outcome)).toEqual([{ kind: 'done', result: { noted: 5 } }]);
    expect(await stand.attemptsOf(poison)).toEqual([[0, 1]]);
  });

  it('lets nothing overtake what goes back, though its broker hands over several of one key', async () => {
    const [failing, next] = [freshSagaId(), freshSagaId()];
    const client = stand.office.connect();
    const ends: Promise<void>[] = [];
    const transport: MemoryClient = {
      ...client,
      subscribe: (subscription) => {
        const give = (message: BrokerMessage): Promise<void> =>
          subscription.handle({ ...message, key: 'k', from: subscription.from, isRedelivered: false });
        ends.push(give(eventFor({ sagaId: failing, payload: { amount: 666 } })), give(eventFor({ sagaId: next })));
        return client.subscribe(subscription);
      },
    };
    const retry = { firstMs: 600_000, maxMs: 600_000 };
    const consumer = await stand.start({ handlers: poisonHandlers, transport, retry, ordered: true });
    const settled = Promise.allSettled(ends);
    await eventually(async () => expect(await stand.attemptsOf(failing)).toEqual([[0, 1]]));
    await consumer.stop();
    expect((await settled).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect(stand.office.replies()).toEqual([]);
  });

  it('stops beside the others of its participant, so that the slowest broker is the time of them all', async () => {
    let subscribed = 0;
    let asked = 0;
    let release!: () => void;
    const released = new Promise<void>((resolve) => (release = resolve));
    const connectSlow = (): MemoryClient => {
      const client = stand.office.connect();
      const subscribe: MemoryClient['subscribe'] = (subscription) => {
        const { ready, stop } = client.subscribe(subscription);
        subscribed += 1;
        const stopSlowly = (): Promise<void> => ((asked += 1), released.then(stop));
        return { ready, stop: stopSlowly };
      };
      return { ...client, subscribe };
    };
    const server = await serveParticipant({
      ...{ consumer: 'notes', databaseUrl: stand.databaseUrl, host: '127.0.0.1', port: 0, register: noteHandlers() },
      consumers: ['one', 'other'].map((from) => ({ from, transport: connectSlow() })),
    });
    try {
      await eventually(() => expect(subscribed).toBe(2));
      void server.stop();
      await eventually(() => expect(asked).toBe(2));
    } finally {
      release();
      await server.stop();
    }
  });
});
