import { Producer, SimpleConsumer, type MessageView } from 'rocketmq-client-nodejs';
import { createSlots } from '../../../src/participant/pace.js';
import { CONCURRENCY, type BareClient } from './client.js';

const SILENT = { info: () => undefined, warn: () => undefined, error: () => undefined, debug: () => undefined };
/** The broker gives no more at a time. */
const BATCH = 32;
const INVISIBLE_MS = 15_000;
const WAIT_MS = 5_000;

/** `rocketmq-client-nodejs`: a call for each message, as many receiving calls as it takes to have that many in hand, a call for each acknowledgement. */
export function createRocketClient(url: string): Promise<BareClient> {
  let producer: Promise<Producer> | undefined;
  const open = async (): Promise<Producer> => {
    const opened = new Producer({ endpoints: url, namespace: '', logger: SILENT });
    await opened.startup();
    return opened;
  };
  const consumers: SimpleConsumer[] = [];
  const receiving: Promise<void>[] = [];
  let isClosed = false;
  return Promise.resolve({
    send: async (topic, id, body) => {
      await (await (producer ??= open())).send({ topic, keys: [id], body });
    },
    consume: async (topic, handle) => {
      const options = { endpoints: url, namespace: '', logger: SILENT, awaitDuration: WAIT_MS };
      const consumer = new SimpleConsumer({ ...options, consumerGroup: topic, subscriptions: new Map([[topic, '*']]) });
      await consumer.startup();
      consumers.push(consumer);
      const slots = createSlots(CONCURRENCY);
      const settle = async (message: MessageView): Promise<void> => {
        await handle(message.body);
        await consumer.ack(message);
      };
      const receive = async (): Promise<void> => {
        while (!isClosed) {
          // on a busy machine a call that waits for messages runs out of time: the next one brings them
          const messages = await consumer.receive(BATCH, INVISIBLE_MS).catch(() => []);
          await Promise.all(messages.map((message) => slots.run(() => settle(message))));
        }
      };
      for (let taken = 0; taken < CONCURRENCY; taken += BATCH) receiving.push(receive());
    },
    close: async () => {
      isClosed = true;
      // a receiving call has no end but its own
      await Promise.all(receiving);
      await Promise.all([(await producer)?.shutdown(), ...consumers.map((consumer) => consumer.shutdown())]);
    },
  });
}
