import type { Broker, PublishOptions } from '../../src/brokers/broker.js';
import { createRedisStreams, type BrokerOptions } from '../../src/brokers/redis.js';
import { eventually } from '../support/eventually.js';
import {
  createRecorder,
  killScript,
  MANY,
  messageOf,
  startScript,
  startTestRedis,
  type TestRedis,
} from './redis-kit.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('redis');

/** Each confirmation waits for the disk, which the machine's other work may keep busy. */
const PATIENCE = { timeoutMs: 150_000 };

let redis: TestRedis;
const brokers: Broker[] = [];
let streams = 0;

describeHere('with Redis', () => {
  beforeAll(async () => {
    redis = await startTestRedis();
  });
  afterEach(async () => {
    await Promise.all(brokers.splice(0).map((broker) => broker.close()));
  });
  afterAll(() => redis.remove());

  const open = (options: Partial<BrokerOptions> = {}): Broker => {
    const broker = createRedisStreams({ url: redis.url, ...options });
    brokers.push(broker);
    return broker;
  };
  /** A stream that no other test has. */
  const declared = async (broker: Broker): Promise<PublishOptions> => {
    const to = `s-${++streams}`;
    await broker.declare({ name: to });
    return { to, timeoutMs: 30_000 };
  };
  const isEmpty = async (stream: string): Promise<void> => expect(await redis.ask('XLEN', stream)).toBe(0);

  describe('Redis killed under load', () => {
    it.each([{ ordered: false }, { ordered: true }])(
      'loses nothing that it confirmed ($ordered)',
      async ({ ordered }) => {
        const broker = open({ idleMs: 1_000, leaseMs: 2_000 });
        const options = await declared(broker);
        const recorder = createRecorder();
        broker.subscribe(recorder.subscription({ from: options.to, ordered }));
        const confirmed: string[] = [];
        let next = 0;
        let isOver = false;
        const load = async (): Promise<void> => {
          while (!isOver) {
            const id = `m-${next++}`;
            await broker.publish(messageOf(id, { key: `k-${next % 8}` }), { ...options, timeoutMs: 1_000 }).then(
              () => confirmed.push(id),
              (cause: unknown) => expect((cause as { kind: string }).kind).toMatch(/unavailable|timeout|full/),
            );
          }
        };
        const loads = Array.from({ length: 8 }, load);
        for (let round = 1; round <= 2; round += 1) {
          const before = confirmed.length;
          await eventually(() => expect(confirmed.length).toBeGreaterThan(before + 50));
          await redis.kill();
          await redis.restart();
        }
        const before = confirmed.length;
        await eventually(() => expect(confirmed.length).toBeGreaterThan(before));
        isOver = true;
        await Promise.all(loads);
        await eventually(() => {
          const seen = new Set(recorder.ids());
          expect(confirmed.filter((id) => !seen.has(id))).toEqual([]);
        }, PATIENCE);
        await eventually(() => isEmpty(options.to));
      },
    );

    it('ends at once while the server is away', async () => {
      const away = await startTestRedis();
      const broker = open({ url: away.url });
      const options = await declared(broker);
      const recorder = createRecorder();
      await broker.subscribe(recorder.subscription({ from: options.to })).ready;
      await broker.subscribe(recorder.subscription({ from: options.to, ordered: true, group: 'o' })).ready;
      await away.kill();
      const publishing = broker.publish(messageOf('m-1'), { ...options, timeoutMs: 60_000 });
      const begunAt = Date.now();
      await Promise.all([broker.close(), expect(publishing).rejects.toMatchObject({ kind: 'unavailable' })]);
      expect(Date.now() - begunAt).toBeLessThan(30_000);
      await away.remove();
    });
  });

  describe('an ordered stream in Redis', () => {
    const times = { leaseMs: 4_000, idleMs: 4_000 };
    const keyed = (id: string, index: number): ReturnType<typeof messageOf> => messageOf(id, { key: `k-${index % 3}` });

    it('keeps the order of each key over two consumers, also when one stops midway', async () => {
      const options = await declared(open());
      const log: string[] = [];
      const running = new Set<string>();
      const collisions: string[] = [];
      const recorder = createRecorder(async ({ id, key = '' }) => {
        if (running.has(key)) collisions.push(id);
        running.add(key);
        await new Promise((resolve) => setImmediate(resolve));
        log.push(id);
        running.delete(key);
      });
      const subscription = recorder.subscription({ from: options.to, ordered: true, prefetch: 16 });
      const first = open(times).subscribe(subscription);
      await first.ready;
      open(times).subscribe(subscription);
      const publisher = open();
      for (const [index, id] of MANY.entries()) {
        await publisher.publish(keyed(id, index), options);
        if (index === 100) void first.stop();
      }
      await eventually(() => expect(log).toHaveLength(MANY.length));
      for (const key of [0, 1, 2]) {
        const ofKey = (ids: readonly string[]): string[] => ids.filter((id) => Number(id.slice(2)) % 3 === key);
        expect(ofKey(log)).toEqual(ofKey(MANY));
      }
      expect(collisions).toEqual([]);
    });

    it('tries a failed message again before the next of its key, while other keys go on', async () => {
      const options = await declared(open());
      const recorder = createRecorder(({ id, isRedelivered }) => {
        return id === 'm-0' && !isRedelivered ? Promise.reject(new Error('not now')) : Promise.resolve();
      });
      open(times).subscribe(recorder.subscription({ from: options.to, ordered: true }));
      for (const [index, id] of MANY.slice(0, 6).entries()) await open().publish(keyed(id, index), options);
      await eventually(() => expect(recorder.seen).toHaveLength(7));
      expect(recorder.ids().filter((id) => ['m-0', 'm-3'].includes(id))).toEqual(['m-0', 'm-0', 'm-3']);
      expect(recorder.ids().indexOf('m-1')).toBeLessThan(recorder.ids().lastIndexOf('m-0'));
      await eventually(() => isEmpty(options.to));
    });

    it('begins with what a killed consumer was given, in its order', async () => {
      const broker = open(times);
      const options = await declared(broker);
      for (const id of ['m-0', 'm-1', 'm-2']) await broker.publish(messageOf(id, { key: 'k' }), options);
      await killScript(await startScript('redis-consumer-script.ts', [redis.url, options.to, 'true'], 'begun'));
      await broker.publish(messageOf('m-3', { key: 'k' }), options);
      const recorder = createRecorder();
      broker.subscribe(recorder.subscription({ from: options.to, ordered: true }));
      await eventually(() => expect(recorder.ids()).toEqual(['m-0', 'm-1', 'm-2', 'm-3']));
      expect(recorder.seen.map(({ isRedelivered }) => isRedelivered)).toEqual([true, true, true, false]);
    });
  });
});
