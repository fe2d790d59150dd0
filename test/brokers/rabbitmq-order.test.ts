import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Broker, Consumption, IncomingMessage } from '../../src/brokers/broker.js';
import { createRabbitMq } from '../../src/brokers/rabbitmq.js';
import { startRabbitMq } from '../../src/dev/brokers/rabbitmq.js';
import type { RunningRabbitMq } from '../../src/dev/brokers/rabbitmq.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { eventually } from '../support/eventually.js';
import { describeWhere } from '../support/transports/where-broker-is.js';

const describeHere = await describeWhere('rabbitmq');

const KEYS = ['a', 'b', 'c'];
const EACH = 40;

let dataDir: string;
let server: RunningRabbitMq;
let brokers: Broker[];
let queue: string;

describeHere('with RabbitMQ', () => {
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'settle-rabbitmq-'));
    server = await startRabbitMq({ dataDir, port: await findFreePorts(3) });
  });

  afterAll(async () => {
    await server?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  let tests = 0;
  beforeEach(async () => {
    brokers = Array.from({ length: 3 }, () => createRabbitMq({ url: server.url }));
    queue = `accounts-${++tests}`;
    await brokers[0]!.declare({ name: queue, ordered: true });
    for (let each = 0; each < EACH; each++) {
      for (const key of KEYS) {
        const message = { id: `${key}-${each}`, key, contentType: 'text/plain', headers: {}, body: Buffer.from('') };
        await brokers[0]!.publish(message, { to: queue, timeoutMs: 30_000, ordered: true });
      }
    }
  });

  afterEach(async () => {
    await Promise.all(brokers.map((each) => each.close()));
  });

  function subscribe(broker: Broker, handle: (message: IncomingMessage) => Promise<void>): Consumption {
    const options = { from: queue, group: 'accounts', ordered: true, prefetch: 10 };
    return broker.subscribe({ ...options, handle, onTrouble: () => undefined });
  }

  function inOrder(key: string): string[] {
    return Array.from({ length: EACH }, (_, each) => `${key}-${each}`);
  }

  test('two consumers handle the messages of one key in order and never at once, also when one stops midway', async () => {
    const handled: string[] = [];
    const busy = new Set<string>();
    let clashes = 0;
    const handle = async ({ id, key = '' }: IncomingMessage): Promise<void> => {
      if (busy.has(key)) clashes += 1;
      busy.add(key);
      await new Promise((resolve) => setImmediate(resolve));
      handled.push(id);
      busy.delete(key);
    };
    const first = subscribe(brokers[1]!, handle);
    await first.ready;
    const second = subscribe(brokers[2]!, handle);
    await eventually(() => expect(handled.length).toBeGreaterThan(20));
    await first.stop();
    await second.ready;
    await eventually(() => expect(handled).toHaveLength(KEYS.length * EACH));
    for (const key of KEYS) expect(handled.filter((id) => id.startsWith(key))).toEqual(inOrder(key));
    expect(clashes).toBe(0);
  });

  test('a message that is rejected comes again before the next of its key, and other keys go on', async () => {
    const handled: string[] = [];
    let rejections = 0;
    subscribe(brokers[1]!, async ({ id, isRedelivered }) => {
      await new Promise((resolve) => setImmediate(resolve));
      if (id === 'a-3' && rejections < 3) {
        expect(isRedelivered).toBe(rejections > 0);
        rejections += 1;
        throw new Error('not now');
      }
      handled.push(id);
    });
    await eventually(() => expect(handled).toHaveLength(KEYS.length * EACH));
    expect(rejections).toBe(3);
    for (const key of KEYS) expect(handled.filter((id) => id.startsWith(key))).toEqual(inOrder(key));
  });
});
