import type { Broker, PublishOptions } from '../../src/brokers/broker.js';
import { createRedisStreams, type BrokerOptions } from '../../src/brokers/redis.js';
import { eventually } from '../support/eventually.js';
import {
  createRecorder,
  gate,
  killScript,
  MANY,
  messageOf,
  startScript,
  startTestRedis,
  type TestRedis,
} from './redis-kit.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('redis');

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

  describe('publishing to Redis', () => {
    it('keeps what it confirmed over a killed server', async () => {
      const broker = open();
      const options = await declared(broker);
      await Promise.all(MANY.map((id) => broker.publish(messageOf(id), options)));
      await redis.kill();
      await redis.restart();
      const recorder = createRecorder();
      broker.subscribe(recorder.subscription({ from: options.to }));
      await eventually(() => expect(recorder.ids()).toEqual(MANY));
      expect(recorder.seen.every(({ isRedelivered }) => !isRedelivered)).toBe(true);
    });

    it('carries everything that a message has', async () => {
      const broker = open();
      const options = await declared(broker);
      const message = messageOf('m-1', { key: 'k', headers: { a: 'ä', b: '' }, body: Buffer.from([0, 255, 10, 13]) });
      await broker.publish(message, options);
      const recorder = createRecorder();
      broker.subscribe(recorder.subscription({ from: options.to }));
      await eventually(() => expect(recorder.seen).toEqual([{ ...message, from: options.to, isRedelivered: false }]));
    });

    it('names message and stream where nothing keeps what is sent there', async () => {
      const failed = open().publish(messageOf('m-1'), { to: 'nowhere', timeoutMs: 1_000 });
      await expect(failed).rejects.toMatchObject({ kind: 'unroutable' });
      await expect(failed).rejects.toThrow(/message 'm-1' to stream 'nowhere'/);
    });

    it('refuses what is too large before it is sent', async () => {
      const broker = createRedisStreams({ url: 'redis://127.0.0.1:1/0' });
      const message = messageOf('m-1', { body: Buffer.alloc(broker.maxBytes) });
      await expect(broker.publish(message, { to: 's', timeoutMs: 60_000 })).rejects.toMatchObject({
        kind: 'too-large',
      });
      await broker.close();
    });

    it('is told of a full server, and goes on once there is room', async () => {
      const full = await startTestRedis({ maxMemoryBytes: 12 * 1024 * 1024 });
      const broker = open({ url: full.url });
      const options = await declared(broker);
      let sent = 0;
      const fill = async (): Promise<void> => {
        for (;;) {
          await broker.publish(messageOf(`m-${sent}`, { body: Buffer.alloc(100_000) }), options);
          sent += 1;
        }
      };
      const failure = await fill().catch((cause: unknown) => cause);
      expect(failure).toMatchObject({ kind: 'full' });
      expect((failure as Error).message).toContain(`message 'm-${sent}' to stream '${options.to}'`);
      const recorder = createRecorder();
      // the consumers of a full server, ordered ones too, must be able to empty it
      broker.subscribe(recorder.subscription({ from: options.to, ordered: true }));
      await eventually(() => expect(recorder.ids()).toHaveLength(sent));
      await eventually(() => broker.publish(messageOf('again'), options));
      await broker.close();
      await full.remove();
    });

    it('does not count as sent what the server may lose, unless its URL accepts that', async () => {
      const lossy = await startTestRedis({ appendFsync: 'everysec' });
      const options = await declared(open({ url: lossy.url }));
      await expect(open({ url: lossy.url }).publish(messageOf('m-1'), options)).rejects.toThrow(
        'appendfsync is everysec',
      );
      await open({ url: `${lossy.url}?fsync=any` }).publish(messageOf('m-1'), options);
      await expect(open({ url: `${lossy.url}?waitaof=1` }).publish(messageOf('m-1'), options)).rejects.toThrow(
        'WAITAOF',
      );
      expect(await lossy.ask('XLEN', options.to)).toBe(1);
      await lossy.remove();
    });

    it('waits for as many replicas as its URL asks for, and no longer than it may', async () => {
      const replica = await startTestRedis({ replicaOf: redis.port });
      const broker = open({ url: `${redis.url}?replicas=1` });
      const options = await declared(broker);
      await eventually(() => broker.publish(messageOf('m-1'), options));
      await Promise.all(MANY.map((id) => broker.publish(messageOf(id), options)));
      expect(Number(await replica.ask('XLEN', options.to))).toBeGreaterThan(MANY.length);
      await replica.remove();
      await expect(broker.publish(messageOf('m-2'), { ...options, timeoutMs: 700 })).rejects.toMatchObject({
        kind: 'timeout',
      });
    });

    it('refuses a URL that it does not understand, without printing its password', () => {
      for (const url of ['amqp://me:secret@host', 'redis://me:secret@host?waitaof=2', 'redis://me:secret@host?x=1']) {
        expect(() => createRedisStreams({ url })).toThrow(TypeError);
        expect(() => createRedisStreams({ url })).not.toThrow(/secret/);
      }
    });
  });

  describe('consuming from Redis', () => {
    it('gives a message back whose handling failed, and marks it', async () => {
      const broker = open();
      const options = await declared(broker);
      const recorder = createRecorder(({ isRedelivered }) => {
        return isRedelivered ? Promise.resolve() : Promise.reject(new Error('not now'));
      });
      broker.subscribe(recorder.subscription({ from: options.to }));
      await broker.publish(messageOf('m-1'), options);
      await eventually(() => expect(recorder.seen.map(({ isRedelivered }) => isRedelivered)).toEqual([false, true]));
      await eventually(() => isEmpty(options.to));
    });

    it('keeps to its prefetch, and nobody else gets what is being handled, however slow', async () => {
      const options = await declared(open());
      const hold = gate();
      const slow = createRecorder(() => hold.opened);
      const times = { idleMs: 6_000 };
      await open(times).subscribe(slow.subscription({ from: options.to, prefetch: 2 })).ready;
      await Promise.all(MANY.slice(0, 5).map((id) => open().publish(messageOf(id), options)));
      await eventually(() => expect(slow.seen).toHaveLength(2));
      // each failure comes back in a round that looks for what is left, one a second: together longer than what counts as dead
      const other = createRecorder(() =>
        other.seen.length > 27 ? Promise.resolve() : Promise.reject(new Error('no')),
      );
      open(times).subscribe(other.subscription({ from: options.to }));
      await eventually(() => expect(other.seen.length).toBeGreaterThanOrEqual(30)).finally(hold.open);
      expect(slow.seen).toHaveLength(2);
      expect(other.ids().filter((id) => slow.ids().includes(id))).toEqual([]);
      await eventually(() => isEmpty(options.to));
    });

    it('takes over what a killed consumer was given', async () => {
      const broker = open({ idleMs: 1_000 });
      const options = await declared(broker);
      await broker.publish(messageOf('m-1'), options);
      await killScript(await startScript('redis-consumer-script.ts', [redis.url, options.to], 'begun'));
      const recorder = createRecorder();
      broker.subscribe(recorder.subscription({ from: options.to }));
      await eventually(() => expect(recorder.seen).toMatchObject([{ id: 'm-1', isRedelivered: true }]));
      await eventually(() => isEmpty(options.to));
    });

    it('finishes and acknowledges what is being handled when it stops, and takes nothing new', async () => {
      const broker = open();
      const options = await declared(broker);
      const hold = gate();
      const recorder = createRecorder(() => hold.opened);
      const consumption = broker.subscribe(recorder.subscription({ from: options.to, prefetch: 1 }));
      await broker.publish(messageOf('m-1'), options);
      await eventually(() => expect(recorder.seen).toHaveLength(1));
      const stopped = consumption.stop();
      await broker.publish(messageOf('m-2'), options);
      hold.open();
      await stopped;
      expect(recorder.ids()).toEqual(['m-1']);
      // and it leaves nothing of itself behind
      expect(await redis.ask('XINFO', 'CONSUMERS', options.to, 'g')).toEqual([]);
      const next = createRecorder();
      broker.subscribe(next.subscription({ from: options.to }));
      await eventually(() => expect(next.seen).toMatchObject([{ id: 'm-2', isRedelivered: false }]));
    });

    it('removes what every group has acknowledged, and nothing that one still owes', async () => {
      const broker = open();
      const options = await declared(broker);
      const [first, second] = [createRecorder(), createRecorder()];
      const late = broker.subscribe(second.subscription({ from: options.to, group: 'late' }));
      await late.ready;
      await late.stop();
      broker.subscribe(first.subscription({ from: options.to, group: 'early' }));
      await Promise.all(MANY.map((id) => broker.publish(messageOf(id), options)));
      await eventually(() => expect(first.seen).toHaveLength(MANY.length));
      expect(await redis.ask('XLEN', options.to)).toBe(MANY.length);
      broker.subscribe(second.subscription({ from: options.to, group: 'late' }));
      await eventually(() => expect(second.ids()).toEqual(MANY));
      await eventually(() => isEmpty(options.to));
    });

    it('goes on when everything was flushed under it', async () => {
      const broker = open();
      const options = await declared(broker);
      const recorder = createRecorder();
      await broker.subscribe(recorder.subscription({ from: options.to })).ready;
      await redis.ask('FLUSHALL');
      await eventually(() => broker.publish(messageOf('m-1'), options));
      await eventually(() => expect(recorder.ids()).toEqual(['m-1']));
    });
  });
});
