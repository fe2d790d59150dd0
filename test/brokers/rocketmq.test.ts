import { BrokerError } from '../../src/brokers/broker.js';
import { createRocketMq } from '../../src/brokers/rocketmq.js';
import type { HalfMessageDecision } from '../../src/brokers/rocketmq-transactions.js';
import { eventually } from '../support/eventually.js';
import { describeWhere } from '../support/transports/where-broker-is.js';
import { collect, failure, gateFor, message, prepare, startTestRocketMq, withClient } from './rocketmq-kit.js';
import type { TestRocketMq } from './rocketmq-kit.js';

const describeHere = await describeWhere('rocketmq');

const PATIENCE = { timeoutMs: 200_000 };

describeHere('RocketMQ', () => {
  let rocket: TestRocketMq;

  beforeAll(async () => {
    rocket = await startTestRocketMq({ transactionCheckInterval: '2000', transactionTimeOut: '2000' });
  });
  afterAll(() => rocket.remove());

  it('carries a message as it was', async () => {
    const { from, group } = await prepare(rocket);
    const sent = [
      message('m-1', { key: 'order 7', headers: { reason: 'because', KEYS: 'a name of RocketMQ', odd: 'two\nlines' } }),
      message('m-2', { body: Buffer.alloc(0), contentType: 'text/plain' }),
      message('m-3', { body: Buffer.alloc(4 * 1024 * 1024 - 100, 0xff) }),
    ];
    await withClient(rocket.url, async (client) => {
      for (const each of sent) await client.publish(each, { to: from, timeoutMs: 60_000 });
      const { subscription, got } = collect({ from, group });
      client.subscribe(subscription);
      // by their ids: what is told of a failure would hold four million bytes each time
      await eventually(() => expect(got.map(({ id }) => id)).toHaveLength(3), PATIENCE);
      for (const { key, body, ...rest } of sent) {
        const { body: incoming, ...others } = got.find(({ id }) => id === rest.id)!;
        expect(others).toEqual({ ...rest, key, from, isRedelivered: false });
        // comparing, or printing, four million elements one by one takes minutes
        expect(incoming.equals(body)).toBe(true);
      }
    });
  });

  it('refuses what cannot be kept, naming message and topic', async () => {
    const { from } = await prepare(rocket);
    await withClient(rocket.url, async (client) => {
      const missing = client.publish(message('m-1'), { to: 'nobody', timeoutMs: 60_000 });
      await expect(missing).rejects.toMatchObject(failure('unroutable', /'m-1'.*'nobody'.*mqadmin updateTopic/));
      const unordered = client.publish(message('m-2', { key: 'k' }), { to: from, timeoutMs: 60_000, ordered: true });
      await expect(unordered).rejects.toMatchObject(failure('unroutable', /message\.type=FIFO/));
      const large = client.publish(message('m-3', { body: Buffer.alloc(4 * 1024 * 1024) }), { to: from, timeoutMs: 1 });
      await expect(large).rejects.toMatchObject(failure('too-large', /'m-3'.*4194304/));
      const long = client.publish(message('m-4', { headers: { a: 'x'.repeat(17_000) } }), { to: from, timeoutMs: 1 });
      await expect(long).rejects.toMatchObject(failure('too-large', /headers/));
      await expect(client.declare({ name: 'nobody' })).rejects.toMatchObject({ kind: 'unroutable' });
      await expect(client.declare({ name: from })).resolves.toBeUndefined();
    });
  });

  it('tells that a broker takes nothing, and goes on when it does again', async () => {
    const { from } = await prepare(rocket);
    await withClient(rocket.url, async (client) => {
      const publish = (id: string): Promise<void> => client.publish(message(id), { to: from, timeoutMs: 60_000 });
      await publish('m-1');
      await rocket.server().admin.configure({ startAcceptSendRequestTimeStamp: String(Date.now() + 3_600_000) });
      await expect(publish('m-2')).rejects.toMatchObject(failure('full', /'m-2'/));
      await rocket.server().admin.configure({ startAcceptSendRequestTimeStamp: '0' });
      await expect(publish('m-3')).resolves.toBeUndefined();
    });
  });

  it('brings a rejected message again, marked, and nobody else one that is being handled', async () => {
    const { from, group } = await prepare(rocket);
    await withClient(rocket.url, (client) =>
      gateFor(async (gate) => {
        const refuse = async ({ id, isRedelivered }: { id: string; isRedelivered: boolean }): Promise<void> => {
          if (id === 'slow') await gate.passed;
          if (id === 'poison' && !isRedelivered) throw new Error('not now');
        };
        const consumers = [collect({ from, group }, refuse), collect({ from, group }, refuse)];
        for (const { subscription } of consumers) await client.subscribe(subscription).ready;
        for (const id of ['slow', 'poison', 'other'])
          await client.publish(message(id), { to: from, timeoutMs: 60_000 });
        const all = (): string[] => consumers.flatMap(({ ids }) => ids());
        await eventually(() => expect(all().filter((id) => id === 'poison')).toHaveLength(2), PATIENCE);
        expect(consumers.flatMap(({ got }) => got).filter(({ isRedelivered }) => isRedelivered)).toHaveLength(1);
        // longer than the broker hides a message that nobody renews
        const hiddenUntil = Date.now() + 20_000;
        await eventually(() => expect(Date.now()).toBeGreaterThan(hiddenUntil), PATIENCE);
        gate.open();
        expect(all().sort()).toEqual(['other', 'poison', 'poison', 'slow']);
      }),
    );
  });

  it('keeps the order of a key over two consumers, also when one stops midway', async () => {
    const { from, group } = await prepare(rocket, 'fifo');
    await withClient(rocket.url, async (client) => {
      const handled: string[] = [];
      const atWork = new Set<string>();
      let rejections = 0;
      const handle = async ({ id, key }: { id: string; key?: string }): Promise<void> => {
        expect(atWork.has(key!)).toBe(false);
        atWork.add(key!);
        await new Promise(setImmediate);
        atWork.delete(key!);
        if (id === 'k-1/7' && rejections++ === 0) throw new Error('not now');
        if (!handled.includes(id)) handled.push(id);
      };
      const options = { from, group, ordered: true, prefetch: 8 };
      const [first, second] = [collect(options, handle), collect(options, handle)];
      const running = client.subscribe(first.subscription);
      client.subscribe(second.subscription);
      const keys = ['k-0', 'k-1', 'k-2', 'k-3', 'k-4'];
      const orders = Array.from({ length: 20 }, (_, index) => keys.map((key) => message(`${key}/${index}`, { key })));
      const publish = Promise.all(
        orders.flat().map((each) => client.publish(each, { to: from, timeoutMs: 60_000, ordered: true })),
      );
      await eventually(() => expect(first.got.length).toBeGreaterThan(5), PATIENCE);
      await running.stop();
      await publish;
      await eventually(() => expect(handled).toHaveLength(100), PATIENCE);
      for (const key of keys) {
        const own = handled.filter((id) => id.startsWith(`${key}/`));
        expect(own).toEqual(orders.map((_, index) => `${key}/${index}`));
      }
    });
  });

  it('does not consume with a group that would put messages aside, or lose their order', async () => {
    const { from, group } = await prepare(rocket);
    await rocket.server().admin.createGroup('impatient', { maxRetries: 16 });
    await withClient(rocket.url, async (client) => {
      const impatient = collect({ from, group: 'impatient' });
      client.subscribe(impatient.subscription);
      await eventually(
        () => expect(String(impatient.troubles)).toMatch(/'impatient'.*aside after 17.*-r 1000000/),
        PATIENCE,
      );
      const unordered = collect({ from, group, ordered: true });
      client.subscribe(unordered.subscription);
      await eventually(() => expect(String(unordered.troubles)).toMatch(/not an ordered one.*-o true/), PATIENCE);
    });
  });

  it('delivers a half message when its producer commits, at once or when it is asked, and never after a rollback', async () => {
    const { from, group } = await prepare(rocket, 'transaction');
    await withClient(rocket.url, async (client) => {
      const { subscription, ids } = collect({ from, group });
      client.subscribe(subscription);
      const asked: string[] = [];
      const verdictOf = (id: string): HalfMessageDecision => {
        if (id === 'late') return asked.filter((each) => each === id).length > 1 ? 'commit' : 'unknown';
        return id === 'good' ? 'commit' : 'rollback';
      };
      const decide = (id: string): Promise<HalfMessageDecision> => {
        asked.push(id);
        return Promise.resolve(verdictOf(id));
      };
      const halves = client.openHalfMessages({ to: from, decide, onTrouble: subscription.onTrouble });
      await halves.ready;
      await expect(halves.publish(message('bad'), { timeoutMs: 60_000 })).resolves.toBe('rollback');
      await expect(halves.publish(message('late'), { timeoutMs: 60_000 })).resolves.toBe('unknown');
      await expect(halves.publish(message('good'), { timeoutMs: 60_000 })).resolves.toBe('commit');
      await eventually(() => expect(new Set(ids())).toEqual(new Set(['good', 'late'])), PATIENCE);
    });
  });

  it('asks another producer about the half messages of one that is gone', async () => {
    const { from, group } = await prepare(rocket, 'transaction');
    const onTrouble = (): undefined => undefined;
    await withClient(rocket.url, async (client) => {
      const halves = client.openHalfMessages({ to: from, decide: () => Promise.resolve('unknown'), onTrouble });
      await halves.publish(message('orphan'), { timeoutMs: 60_000 });
    });
    await withClient(rocket.url, async (client) => {
      const { subscription, ids } = collect({ from, group });
      client.subscribe(subscription);
      client.openHalfMessages({ to: from, decide: () => Promise.resolve('commit'), onTrouble });
      await eventually(() => expect(ids()).toContain('orphan'), PATIENCE);
    });
  });

  it('loses nothing confirmed when the server is killed under load, and both sides go on by themselves', async () => {
    const { from, group } = await prepare(rocket);
    const client = createRocketMq({ url: rocket.url });
    const { subscription, ids, troubles } = collect({ from, group });
    client.subscribe(subscription);
    const confirmed: string[] = [];
    const kinds = new Set<string>();
    let isOver = false;
    let number = 0;
    const load = Array.from({ length: 4 }, async () => {
      while (!isOver) {
        const id = `m-${number++}`;
        try {
          await client.publish(message(id), { to: from, timeoutMs: 5_000 });
          confirmed.push(id);
        } catch (cause) {
          kinds.add((cause as BrokerError).kind);
          await new Promise((resolve) => setTimeout(resolve, 50));
        }
      }
    });
    await eventually(() => expect(confirmed.length).toBeGreaterThan(20), PATIENCE);
    await rocket.kill();
    await eventually(() => expect(kinds.size).toBeGreaterThan(0), PATIENCE);
    const before = confirmed.length;
    await rocket.restart();
    await eventually(() => expect(confirmed.length).toBeGreaterThan(before + 20), PATIENCE);
    isOver = true;
    await Promise.all(load);
    await eventually(() => expect(confirmed.filter((id) => !ids().includes(id))).toEqual([]), PATIENCE);
    expect([...kinds].filter((kind) => kind !== 'unavailable' && kind !== 'timeout' && kind !== 'unroutable')).toEqual(
      [],
    );
    expect(troubles.length).toBeGreaterThan(0);
    await client.close();
  });

  it('closes also while the server is away, and refuses what comes afterwards', async () => {
    const { from, group } = await prepare(rocket);
    const client = createRocketMq({ url: rocket.url });
    const { subscription, troubles } = collect({ from, group });
    const { ready } = client.subscribe(subscription);
    const halves = client.openHalfMessages({
      to: from,
      decide: () => Promise.resolve('unknown'),
      onTrouble: subscription.onTrouble,
    });
    await Promise.all([ready, halves.ready]);
    await rocket.kill();
    await eventually(() => expect(troubles.length).toBeGreaterThan(0), PATIENCE);
    const sent = client.publish(message('m-1'), { to: from, timeoutMs: 5_000 });
    await expect(sent).rejects.toBeInstanceOf(BrokerError);
    await client.close();
    const late = client.publish(message('m-2'), { to: from, timeoutMs: 5_000 });
    await expect(late).rejects.toMatchObject(failure('unavailable', /'m-2'.*closed/));
  });
});
