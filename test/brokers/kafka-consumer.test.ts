import type { IncomingMessage } from '../../src/brokers/broker.js';
import { eventually } from '../support/eventually.js';
import { createGate, ids, message, publishAll, useKafka } from './kafka-stand.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('kafka');

const RECOVERY = { timeoutMs: 150_000 };
describeHere('with Kafka', () => {
  const kafka = useKafka();

  describe('consuming from Kafka', () => {
    it('gives a message again whose handling failed, marked, and others meanwhile', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      let failures = 3;
      const seen = await kafka.consume(broker, {
        ...{ from: topic, group: 'g' },
        handle: ({ id }) =>
          id === 'poison' && failures-- > 0 ? Promise.reject(new Error('not now')) : Promise.resolve(),
      });
      await publishAll(broker, topic, ['poison', ...ids('m', 5)], 'k');
      await eventually(() => expect(seen.all.filter(({ id }) => id === 'poison')).toHaveLength(4));
      expect(seen.all.map(({ id }) => id).slice(0, 6)).toEqual(['poison', ...ids('m', 5)]);
      expect(seen.all.map(({ id, isRedelivered }) => isRedelivered && id).filter(Boolean)).toEqual(
        Array(3).fill('poison'),
      );
    });

    it('keeps to the prefetch', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 30));
      const gate = createGate();
      let most = 0;
      let now = 0;
      const seen = await kafka.consume(broker, {
        ...{ from: topic, group: 'g', prefetch: 4 },
        handle: async () => {
          most = Math.max(most, ++now);
          await gate.opened;
          now--;
        },
      });
      await eventually(() => expect(now).toBe(4));
      gate.open();
      await eventually(() => expect(seen.ids().size).toBe(30));
      expect(most).toBe(4);
    });

    it('finishes at a stop what is being handled, gives back the rest, and repeats nothing', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 40));
      const gate = createGate();
      const first = await kafka.consume(broker, { from: topic, group: 'g', prefetch: 5, handle: () => gate.opened });
      await eventually(() => expect(first.all).toHaveLength(5));

      const stopped = first.stop();
      gate.open();
      await stopped;
      expect(first.all).toHaveLength(5);

      const second = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() => expect(second.all).toHaveLength(35));
      expect(new Set([...first.ids(), ...second.ids()]).size).toBe(40);
    });

    it('remembers over a restart what was handled after a message that still fails', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ['poison', ...ids('m', 10)], 'k');
      const handle = ({ id }: IncomingMessage): Promise<void> =>
        id === 'poison' ? Promise.reject(new Error('never')) : Promise.resolve();
      const first = await kafka.consume(broker, { from: topic, group: 'g', handle });
      await eventually(() => expect(first.ids().size).toBe(11));
      await first.stop();

      const second = await kafka.consume(broker, { from: topic, group: 'g' });
      await publishAll(broker, topic, ['last'], 'k');
      await eventually(() => expect(second.ids()).toContain('last'));
      expect(second.all.map(({ id }) => id)).toEqual(['poison', 'last']);
    });

    it('waits with what is being handled before another member of the group gets its partition', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 24));
      const gate = createGate();
      const first = await kafka.consume(broker, { from: topic, group: 'g', prefetch: 24, handle: () => gate.opened });
      await eventually(() => expect(first.all).toHaveLength(24));

      const second = kafka.subscribe(kafka.open(), { from: topic, group: 'g' });
      await eventually(async () => expect(await kafka.memberCount('g', topic)).toBe(2));
      expect(second.all).toEqual([]);
      gate.open();
      await second.ready;
      await publishAll(broker, topic, ids('n', 60));
      await eventually(() => expect(new Set([...first.ids(), ...second.ids()]).size).toBe(84));
      expect(second.ids().size).toBeGreaterThan(0);
      expect(first.all.length + second.all.length).toBe(84);
    });

    it('keeps the order of each key over two members of a group, also when one stops midway and messages fail', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      const done: string[] = [];
      const handle = async ({ id }: IncomingMessage): Promise<void> => {
        await new Promise((resolve) => setImmediate(resolve));
        if (Math.random() < 0.05) throw new Error('not now');
        done.push(id);
      };
      const first = await kafka.consume(broker, { from: topic, group: 'g', ordered: true, handle });
      const second = await kafka.consume(kafka.open(), { from: topic, group: 'g', ordered: true, handle });
      const keys = ids('key', 12);
      const publish = async (key: string): Promise<void> => {
        for (let n = 0; n < 40; n++) await publishAll(broker, topic, [`${key}/${n}`], key);
      };
      const published = Promise.all(keys.map(publish));
      await eventually(() => expect(done.length).toBeGreaterThan(100));
      await second.stop();
      await published;
      await eventually(() => expect(done).toHaveLength(480), RECOVERY);
      for (const key of keys) {
        const order = done.filter((id) => id.startsWith(`${key}/`)).map((id) => Number(id.split('/')[1]));
        expect(order).toEqual(Array.from({ length: 40 }, (_, n) => n));
      }
      await first.stop();
    });

    it('goes on by itself when the server was killed under load, and loses nothing that was confirmed', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      const seen = await kafka.consume(kafka.open(), { from: topic, group: 'g' });
      const confirmed: string[] = [];
      let isOver = false;
      const load = Array.from({ length: 8 }, async (_, worker) => {
        for (let n = 0; !isOver; n++) {
          const id = `${worker}/${n}`;
          const sent = broker.publish(message(id, `k-${worker}`), { to: topic, timeoutMs: 2_000 });
          await sent.then(() => confirmed.push(id)).catch(() => new Promise((resolve) => setTimeout(resolve, 50)));
        }
      });
      await eventually(() => expect(seen.all.length).toBeGreaterThan(100));
      await kafka.kill();
      await kafka.start();
      const before = confirmed.length;
      await eventually(() => expect(confirmed.length).toBeGreaterThan(before + 100), RECOVERY);
      isOver = true;
      await Promise.all(load);
      await eventually(() => {
        const ids = seen.ids();
        expect(confirmed.filter((id) => !ids.has(id))).toEqual([]);
      }, RECOVERY);
      expect(kafka.troubles().length).toBeGreaterThan(0);
    });

    it('ends while the server is away', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 3));
      const seen = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() => expect(seen.all).toHaveLength(3));
      await kafka.kill();
      const sent = broker.publish(message('late'), { to: topic, timeoutMs: 1_000 }).catch((cause: unknown) => cause);
      await broker.close();
      expect(await sent).toMatchObject({ name: 'BrokerError' });
      await kafka.start();
    });
  });
});
