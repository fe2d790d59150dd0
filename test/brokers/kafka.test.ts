import { eventually } from '../support/eventually.js';
import { ids, message, publishAll, useKafka } from './kafka-stand.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('kafka');

const RECOVERY = { timeoutMs: 150_000 };
describeHere('with Kafka', () => {
  const kafka = useKafka();

  describe('publishing to Kafka', () => {
    it('keeps what it confirmed when the server is killed', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 50));

      await kafka.kill();
      await kafka.start();

      const seen = await kafka.consume(kafka.open(), { from: topic, group: 'after' });
      await eventually(() => expect([...seen.ids()].sort()).toEqual(ids('m', 50).sort()), RECOVERY);
    });

    it('confirms each of many messages that are published at once to one partition, and stores each', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await publishAll(broker, topic, ids('m', 200), 'one key');

      const seen = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() => expect(seen.all.map(({ id }) => id)).toEqual(ids('m', 200)));
    });

    it('brings back what a message carries', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      const sent = {
        ...message('m-1', 'k'),
        headers: { ce_id: 'm-1', ce_subject: 'gruß' },
        body: Buffer.from([0, 255, 1]),
      };
      await broker.publish(sent, { to: topic, timeoutMs: 30_000 });

      const seen = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() => expect(seen.all).toEqual([{ ...sent, from: topic, isRedelivered: true }]));
    });

    it('refuses a message to a topic that is not there, and names both', async () => {
      const refused = kafka.open().publish(message('m-1'), { to: 'nowhere', timeoutMs: 30_000 });
      await expect(refused).rejects.toMatchObject({
        kind: 'unroutable',
        message: expect.stringMatching(/'m-1'.*'nowhere'/) as unknown,
      });
    });

    it('refuses a message that is too large before it is sent, and takes the largest', async () => {
      const broker = kafka.open();
      const large = { ...message('m-1'), body: Buffer.alloc(broker.maxBytes + 1) };
      await expect(broker.publish(large, { to: 'nowhere', timeoutMs: 30_000 })).rejects.toMatchObject({
        kind: 'too-large',
      });

      const topic = await kafka.declare(broker);
      const largest = { ...message('m-2'), body: Buffer.alloc(broker.maxBytes - 300) };
      await broker.publish(largest, { to: topic, timeoutMs: 30_000 });
      const seen = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() => expect(seen.all[0]?.body).toHaveLength(broker.maxBytes - 300));
    });

    it('counts what a topic refuses for its size alone, not what went with it', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await kafka.configure(topic, { 'max.message.bytes': '20000' });
      const large = { ...message('large', 'k'), body: Buffer.alloc(50_000) };
      const refused = (): Promise<void> => broker.publish(large, { to: topic, timeoutMs: 30_000 });
      // the server takes new settings a moment after it has confirmed them
      await eventually(() => expect(refused()).rejects.toMatchObject({ kind: 'too-large' }));
      const results = await Promise.allSettled(
        [message('m-1', 'k'), large, message('m-2', 'k')].map((each) =>
          broker.publish(each, { to: topic, timeoutMs: 30_000 }),
        ),
      );
      expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      expect(results[1]).toMatchObject({ reason: { kind: 'too-large' } });
      const seen = await kafka.consume(broker, { from: topic, group: 'g' });
      await eventually(() =>
        expect(seen.all.map(({ id }) => id).filter((id) => id !== 'large')).toEqual(['m-1', 'm-2']),
      );
    });

    it('fails in time while the server is away, and goes on by itself once it is back', async () => {
      const broker = kafka.open();
      const topic = await kafka.declare(broker);
      await kafka.kill();
      await expect(broker.publish(message('m-1'), { to: topic, timeoutMs: 500 })).rejects.toMatchObject({
        message: expect.stringMatching(/'m-1'/) as unknown,
      });
      await kafka.start();
      await eventually(() => broker.publish(message('m-2'), { to: topic, timeoutMs: 30_000 }), RECOVERY);
    });
  });
});
