import type { Consumption } from '../../src/brokers/broker.js';
import { eventually } from '../support/eventually.js';
import { describeWhere } from '../support/transports/where-broker-is.js';
import { collect, gateFor, message, prepare, startTestRocketMq, withClient } from './rocketmq-kit.js';
import type { TestRocketMq } from './rocketmq-kit.js';

const describeHere = await describeWhere('rocketmq');

const PATIENCE = { timeoutMs: 200_000 };

describeHere('A consumer of RocketMQ that is stopped', () => {
  let rocket: TestRocketMq;

  beforeAll(async () => {
    rocket = await startTestRocketMq();
  });
  afterAll(() => rocket.remove());

  it('keeps its prefetch to the end, and ends only after what is being handled', async () => {
    const { from, group } = await prepare(rocket);
    await withClient(rocket.url, (client) =>
      gateFor(async (gate) => {
        const ids = Array.from({ length: 10 }, (_, index) => `m-${index}`);
        await Promise.all(ids.map((id) => client.publish(message(id), { to: from, timeoutMs: 60_000 })));
        const first = collect({ from, group, prefetch: 3 }, () => gate.passed);
        const running = client.subscribe(first.subscription);
        await eventually(() => expect(first.got).toHaveLength(3), PATIENCE);
        let hasStopped = false;
        const stopped = running.stop().then(() => (hasStopped = true));
        const second = collect({ from, group });
        client.subscribe(second.subscription);
        await eventually(() => expect(second.got).toHaveLength(7), PATIENCE);
        expect(hasStopped).toBe(false);
        gate.open();
        await stopped;
        expect([...first.ids(), ...second.ids()].sort()).toEqual(ids);
      }),
    );
  });

  it('waits for the one message in hand, and lets everything else run meanwhile', async () => {
    const { from, group } = await prepare(rocket);
    await withClient(rocket.url, (client) =>
      gateFor(async (gate) => {
        await client.publish(message('m-1'), { to: from, timeoutMs: 60_000 });
        const { got, subscription } = collect({ from, group }, () => gate.passed);
        const running = client.subscribe(subscription);
        await eventually(() => expect(got).toHaveLength(1), PATIENCE);
        const stopped = running.stop();
        // a timer fires only where nothing keeps the process from it
        setTimeout(() => gate.open(), 200);
        await stopped;
      }),
    );
  });

  it('takes nothing with it: what comes meanwhile is handled here or at once by another', async () => {
    const { from, group } = await prepare(rocket);
    const sent = new Map<string, number>();
    const ages = new Map<string, number>();
    const handle = ({ id }: { id: string }): Promise<void> => {
      ages.set(id, Date.now() - sent.get(id)!);
      return Promise.resolve();
    };
    await withClient(rocket.url, async (client) => {
      const start = async (): Promise<Consumption> => {
        const running = client.subscribe(collect({ from, group }, handle).subscription);
        await running.ready;
        return running;
      };
      let running = await start();
      let isOver = false;
      const publish = async (): Promise<void> => {
        for (let each = 0; !isOver; each += 1) {
          sent.set(`m-${each}`, Date.now());
          await client.publish(message(`m-${each}`), { to: from, timeoutMs: 60_000 });
        }
      };
      const replace = async (): Promise<void> => {
        const next = await start();
        const before = ages.size;
        await eventually(() => expect(ages.size).toBeGreaterThan(before + 50), PATIENCE);
        await running.stop();
        running = next;
      };
      const replaceAll = async (): Promise<void> => {
        for (let replaced = 0; replaced < 4; replaced += 1) await replace();
      };
      await Promise.all([publish(), replaceAll().finally(() => (isOver = true))]);
      await eventually(() => expect(ages.size).toBe(sent.size), PATIENCE);
      // given to a call that nobody reads, a message is hidden for 15 s; given back, for 3 and more
      expect([...ages].filter(([, ms]) => ms > 2_500)).toEqual([]);
    });
  });
});
