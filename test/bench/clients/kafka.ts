import { Consumer, MessagesStreamFallbackModes, MessagesStreamModes, Producer } from '@platformatic/kafka';
import { createSlots } from '../../../src/participant/pace.js';
import { CONCURRENCY, type BareClient } from './client.js';

const ACKS_ALL = -1;
/** As often as our own consumer commits. */
const COMMIT_MS = 100;

/**
 * `@platformatic/kafka`: a request for each message with `acks=all`; offsets are committed every 100 ms by the library itself, and so
 * perhaps before their messages are handled, which makes this yardstick quicker than one that loses nothing.
 */
export function createKafkaClient(url: string): Promise<BareClient> {
  const bootstrapBrokers = url.split(',');
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers, acks: ACKS_ALL });
  const consumers: { close(force: boolean): Promise<void> }[] = [];
  return Promise.resolve({
    send: async (topic, id, body) => {
      await producer.send({ messages: [{ topic, key: Buffer.from(id), value: body }] });
    },
    consume: async (topic, handle) => {
      const consumer = new Consumer({ clientId: 'bench', groupId: `${topic}-bare`, bootstrapBrokers });
      consumers.push(consumer);
      const stream = await consumer.consume({
        ...{ topics: [topic], mode: MessagesStreamModes.COMMITTED, fallbackMode: MessagesStreamFallbackModes.EARLIEST },
        ...{ autocommit: COMMIT_MS, maxWaitTime: 500, highWaterMark: 2 * CONCURRENCY },
      });
      const slots = createSlots(CONCURRENCY);
      stream.on('data', ({ value }) => void slots.run(() => handle(value)));
    },
    close: async () => {
      await Promise.all([producer.close(), ...consumers.map((consumer) => consumer.close(true))]);
    },
  });
}
