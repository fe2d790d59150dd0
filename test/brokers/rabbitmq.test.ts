import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from 'rabbitmq-client';
import type { BrokerError } from '../../src/brokers/broker.js';
import type { Broker, BrokerMessage, Consumption, IncomingMessage, Subscription } from '../../src/brokers/broker.js';
import { createRabbitMq } from '../../src/brokers/rabbitmq.js';
import { startRabbitMq, type RunningRabbitMq } from '../../src/dev/brokers/rabbitmq.js';
import { findFreePorts } from '../../src/dev/ports.js';
import { eventually } from '../support/eventually.js';
import { describeWhere } from '../support/transports/where-broker-is.js';
import { errorOf, gate, names } from './rabbitmq-kit.js';

const describeHere = await describeWhere('rabbitmq');

let dataDir: string;
let port: number;
let server: RunningRabbitMq;
let broker: Broker;
let queue: string;
const others: Broker[] = [];

async function restart(): Promise<void> {
  server = await startRabbitMq({ dataDir, port });
}

describeHere('with RabbitMQ', () => {
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'settle-rabbitmq-'));
    port = await findFreePorts(3);
    await restart();
  });

  afterAll(async () => {
    await server?.stop();
    await rm(dataDir, { recursive: true, force: true });
  });

  let tests = 0;
  beforeEach(async () => {
    broker = createRabbitMq({ url: server.url });
    queue = `stock-${++tests}`;
    await broker.declare({ name: queue });
  });

  afterEach(async () => {
    await Promise.all([broker, ...others.splice(0)].map((each) => each.close()));
  });

  /** Another process of the same participant, as far as RabbitMQ can tell. */
  function anotherBroker(url = server.url): Broker {
    const another = createRabbitMq({ url });
    others.push(another);
    return another;
  }

  function message(id: string, more: Partial<BrokerMessage> = {}): BrokerMessage {
    return { id, contentType: 'application/json', headers: {}, body: Buffer.from(`{"id":"${id}"}`), ...more };
  }

  async function publish(id: string, more: Partial<BrokerMessage> & { readonly to?: string } = {}): Promise<void> {
    const { to = queue, ...rest } = more;
    await broker.publish(message(id, rest), { to, timeoutMs: 30_000 });
  }

  async function publishAll(ids: readonly string[]): Promise<void> {
    for (const id of ids) await publish(id);
  }

  /** Consumes, and keeps the ids in the order in which they came. */
  async function collect(
    options: Partial<Subscription> & { readonly by?: Broker } = {},
  ): Promise<{ readonly consumption: Consumption; readonly ids: string[]; readonly came: IncomingMessage[] }> {
    const { by = broker, handle, ...rest } = options;
    const ids: string[] = [];
    const came: IncomingMessage[] = [];
    const consumption = by.subscribe({
      from: queue,
      group: 'inventory',
      onTrouble: () => undefined,
      ...rest,
      handle: async (incoming) => {
        ids.push(incoming.id);
        came.push(incoming);
        await handle?.(incoming);
      },
    });
    await consumption.ready;
    return { consumption, ids, came };
  }

  describe('publishing', () => {
    test('what was published is there after the server was killed and started again on its data', async () => {
      await publishAll(names(20));
      await server.kill();
      await restart();
      const { ids } = await collect();
      await eventually(() => expect(ids).toEqual(names(20)));
    });

    test('a message arrives byte for byte, with its id, key, media type and headers', async () => {
      const body = Buffer.from('{"amount":90071992547409931, "amount":1}');
      await publish('m-1', {
        body,
        key: 'customer-7',
        headers: { 'cloudEvents:type': 'stock.taken', CC: 'elsewhere' },
      });
      await publish('m-2', { body: Buffer.from('no JSON {'), contentType: 'text/plain' });
      const { came } = await collect();
      await eventually(() => expect(came).toHaveLength(2));
      expect(came[0]).toEqual({
        ...{ id: 'm-1', key: 'customer-7', contentType: 'application/json', body, from: queue, isRedelivered: false },
        headers: { 'cloudEvents:type': 'stock.taken' },
      });
      expect(came[1]!.body.toString()).toBe('no JSON {');
    });

    test('a message for a queue that is not there is an error that names both, also while others are sent', async () => {
      const ids = names(50);
      const results = await Promise.allSettled(
        ids.map((id, index) => publish(id, index % 2 === 0 ? {} : { to: 'nowhere' })),
      );
      expect(results.map(({ status }) => status)).toEqual(
        ids.map((_, index) => (index % 2 === 0 ? 'fulfilled' : 'rejected')),
      );
      const error = await errorOf(publish('m-x', { to: 'nowhere' }));
      expect(error.kind).toBe('unroutable');
      expect(error.message).toBe(
        "message 'm-x' was not sent: there is no queue 'nowhere'; declare it, or correct the route",
      );
    });

    test('a login that is refused is told as what it is; without a user in the URL it is that of guest', async () => {
      const stranger = anotherBroker(server.url.replace(/\/\/.*@/, '//'));
      const error = await errorOf(stranger.declare({ name: queue }));
      const told = new RegExp(
        `^queue '${queue}' could not be declared: ACCESS_REFUSED - .*; correct the user, password`,
      );
      expect([error.kind, error.message]).toEqual(['unavailable', expect.stringMatching(told)]);
      expect(await readFile(join(dataDir, 'rabbitmq.log'), 'utf8')).toMatch(/user 'guest'/);
    });

    test('a message that is too large is refused before it is sent, and harms no other', async () => {
      const large = publish('m-large', { body: Buffer.alloc(broker.maxBytes + 1) });
      const wordy = publish('m-wordy', { headers: { reason: 'x'.repeat(200_000) } });
      await publish('m-small');
      expect((await errorOf(large)).message).toMatch(/^message 'm-large' to queue 'stock-\d+' was not sent: .* bytes/);
      expect([(await errorOf(large)).kind, (await errorOf(wordy)).kind]).toEqual(['too-large', 'too-large']);
      const { ids } = await collect();
      await eventually(() => expect(ids).toEqual(['m-small']));
    });

    test('a full broker is an error, nothing of it is stored, and it goes on when there is room again', async () => {
      await publish('m-before');
      await server.limitMemory(1_000_000);
      const refused: string[] = [];
      const full = await eventually(async () => {
        refused.push(`m-refused-${refused.length}`);
        const options = { to: queue, timeoutMs: 1_000 };
        const error = await errorOf(broker.publish(message(refused.at(-1)!), options));
        expect(error.kind).toBe('full');
        return error;
      });
      expect(full.message).toMatch(
        /^message 'm-refused-\d+' to queue 'stock-\d+' was not sent: RabbitMQ takes none \(low on memory\)/,
      );
      // what is consumed goes over a connection of its own, and frees the memory
      const { ids } = await collect();
      await eventually(() => expect(ids).toContain('m-before'));
      await server.limitMemory();
      await eventually(() => publish('m-after'));
      await eventually(() => expect(ids).toContain('m-after'));
      expect(ids).not.toContain(refused.at(-1));
    });

    test('a queue at its limit is full, and only that queue', async () => {
      const bounded = `${queue}-bounded`;
      const settings = { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'reject-publish' } as const;
      await withClient((client) => client.queueDeclare({ queue: bounded, durable: true, arguments: settings }));
      const error = await eventually(async () => errorOf(publish('m-1', { to: bounded })));
      expect(error.kind).toBe('full');
      await publish('m-2');
    });

    test('declaring is idempotent, and a queue that was made otherwise is an error with the remedy', async () => {
      await Promise.all([broker.declare({ name: queue }), anotherBroker().declare({ name: queue })]);
      const error = await errorOf(broker.declare({ name: queue, ordered: true }));
      expect(error.kind).toBe('unroutable');
      expect(error.message).toMatch(
        /^queue 'stock-\d+' is there with other settings .*delete it and declare it again$/,
      );
      await publish('m-1');
    });

    test('a URL that is none is refused without the password in the error', () => {
      for (const url of ['http://u:secret@host', 'secret', 'amqp://u:%E0%A4%A@secret', 'amqp://u:secret@[::1]'])
        expect(() => createRabbitMq({ url })).toThrow(/^the URL of RabbitMQ (?!.*secret)/);
    });
  });

  async function withClient(work: (client: Connection) => Promise<unknown>): Promise<void> {
    const client = new Connection(server.url);
    try {
      await work(client);
    } finally {
      await client.close();
    }
  }

  describe('consuming', () => {
    test('a message whose handle rejects comes again, marked as such, and holds up no other', async () => {
      await publishAll(['m-bad', 'm-good']);
      const { came } = await collect({
        handle: ({ id, isRedelivered }) =>
          id === 'm-bad' && !isRedelivered ? Promise.reject(new Error('not now')) : Promise.resolve(),
      });
      await eventually(() => expect(came).toHaveLength(3));
      const bad = came.filter(({ id }) => id === 'm-bad').map(({ isRedelivered }) => isRedelivered);
      expect(bad).toEqual([false, true]);
    });

    test('no more than prefetch messages are out, and nobody else gets one of them', async () => {
      await publishAll(names(6));
      const closed = gate();
      const first = await collect({ prefetch: 2, handle: () => closed.passed });
      await eventually(() => expect(first.ids).toEqual(['m-0', 'm-1']));
      const second = await collect({ by: anotherBroker() });
      await eventually(() => expect(second.ids).toEqual(['m-2', 'm-3', 'm-4', 'm-5']));
      expect(first.ids).toHaveLength(2);
      closed.open();
    });

    test('stop finishes what is being handled, takes nothing new and repeats nothing', async () => {
      await publishAll(names(4));
      const closed = gate();
      const { consumption, ids } = await collect({ prefetch: 2, handle: () => closed.passed });
      await eventually(() => expect(ids).toHaveLength(2));
      const stopped = consumption.stop();
      closed.open();
      await stopped;
      const rest = await collect();
      await eventually(() => expect(rest.ids.toSorted()).toEqual(['m-2', 'm-3']));
      expect(ids).toEqual(['m-0', 'm-1']);
    });

    test('a queue that is not there yet is consumed as soon as it is', async () => {
      const troubles: string[] = [];
      const from = `${queue}-later`;
      const options = { from, group: 'inventory', handle: () => Promise.resolve() };
      const consumption = broker.subscribe({ ...options, onTrouble: ({ message: text }) => void troubles.push(text) });
      await eventually(() => expect(troubles).toContain(`there is no queue '${from}' to consume; declare it`));
      await broker.declare({ name: from });
      await consumption.ready;
    });

    test('a server that is killed under load loses nothing that was confirmed, and both sides go on by themselves', async () => {
      const { ids } = await collect();
      const confirmed: string[] = [];
      const failed = new Set<string>();
      let isOver = false;
      const senders = Array.from({ length: 8 }, async (_, sender) => {
        for (let each = 0; !isOver; each++) {
          const id = `m-${sender}-${each}`;
          await broker.publish(message(id), { to: queue, timeoutMs: 1_000 }).then(
            () => void confirmed.push(id),
            ({ kind }: BrokerError) => void failed.add(kind),
          );
        }
      });
      await eventually(() => expect(confirmed.length).toBeGreaterThan(200));
      await server.kill();
      await eventually(() => expect(failed).toContain('unavailable'));
      const before = confirmed.length;
      await restart();
      await eventually(() => expect(confirmed.length).toBeGreaterThan(before + 200), { timeoutMs: 60_000 });
      isOver = true;
      await Promise.all(senders);
      await eventually(() => expect(new Set(ids)).toEqual(new Set([...ids, ...confirmed])));
      expect([...failed].every((kind) => ['unavailable', 'timeout'].includes(kind))).toBe(true);
    });

    test('close ends also while the server is away, and what is published then is an error', async () => {
      const { consumption } = await collect();
      await server.kill();
      const waiting = broker.publish(message('m-1'), { to: queue, timeoutMs: 500 });
      expect((await errorOf(waiting)).kind).toBe('unavailable');
      const idle = anotherBroker().subscribe({
        ...{ from: queue, group: 'inventory', handle: () => Promise.resolve(), onTrouble: () => undefined },
      });
      await Promise.all([consumption.stop(), idle.stop(), broker.close(), ...others.map((each) => each.close())]);
      expect((await errorOf(idle.ready)).message).toMatch('stopped before it had begun');
      expect((await errorOf(publish('m-2'))).kind).toBe('unavailable');
      await restart();
    });
  });
});
