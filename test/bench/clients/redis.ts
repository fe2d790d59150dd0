import { createClient, RESP_TYPES } from '@redis/client';
import { CONCURRENCY, type BareClient } from './client.js';

const WAIT_MS = 500;

/** `@redis/client`: `XADD`, `XREADGROUP`, and for each message `XACK` and `XDEL`, which the client sends together where it can. */
export async function createRedisClient(url: string): Promise<BareClient> {
  const sender = createClient({ url });
  await sender.connect();
  const clients = [sender];
  let isClosed = false;
  return {
    send: async (to, id, body) => {
      await sender.sendCommand(['XADD', to, '*', 'id', id, 'body', body]);
    },
    consume: async (from, handle) => {
      const reader = createClient({ url });
      clients.push(reader);
      await reader.connect();
      await reader.xGroupCreate(from, from, '0', { MKSTREAM: true });
      const inHand = new Set<Promise<void>>();
      const settle = async (entryId: string, body: Buffer): Promise<void> => {
        await handle(body);
        await Promise.all([sender.xAck(from, from, entryId), sender.xDel(from, entryId)]);
      };
      const read = async (): Promise<void> => {
        while (!isClosed) {
          while (inHand.size >= CONCURRENCY) await Promise.race(inHand);
          const found = await reader
            .withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer })
            .xReadGroup(from, 'one', { key: from, id: '>' }, { COUNT: CONCURRENCY - inHand.size, BLOCK: WAIT_MS });
          const entries = (found as readonly { messages: readonly Found[] }[] | null)?.flatMap((each) => each.messages);
          for (const { id, message } of entries ?? []) {
            const settled = settle(String(id), message['body']!).finally(() => inHand.delete(settled));
            inHand.add(settled);
          }
        }
      };
      void read().catch((error: unknown) => {
        if (!isClosed) throw error;
      });
    },
    close: () => {
      isClosed = true;
      for (const each of clients) each.destroy();
      return Promise.resolve();
    },
  };
}

interface Found {
  readonly id: Buffer;
  readonly message: Readonly<Record<string, Buffer>>;
}
