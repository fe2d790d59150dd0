import { v7 } from 'uuid';
import { Agent, request } from 'undici';
import { envelopeOf } from '../../activities/message-envelope.js';
import type { BrokerName } from '../../src/brokers/broker.js';
import { attributesOf, encodeCloudEvent } from '../../src/brokers/cloud-event.js';
import { CONCURRENCY } from './clients/client.js';
import { openClient } from './clients/open-client.js';
import { note, payloadOf } from './far-notes.js';
import type { Far } from './far.js';
import type { Places } from './far-side.js';

/** What one writes by hand with the transport's own client. */
export interface Yardstick {
  /** Sends so many, each confirmed, and waits until the last has been received and acknowledged. */
  oneWay(count: number): Promise<void>;
  /** Sends so many, and waits until the answer to each is here: its row is committed by then. */
  asked(count: number, batch: string): Promise<void>;
  close(): Promise<void>;
}

/** The yardstick of a broker. */
export async function openYardstick(
  far: Far,
  { name, url, places }: { readonly name: BrokerName; readonly url: string; readonly places: Places },
): Promise<Yardstick> {
  const client = await openClient(name, url);
  const waiting = new Map<string, () => void>();
  await client.consume(places.answers, (body) => {
    const { effectkey: key } = JSON.parse(body.toString()) as { effectkey: string };
    waiting.get(key)?.();
    waiting.delete(key);
    return Promise.resolve();
  });
  const send = ({ id, body }: Sent, to: string): Promise<void> => client.send(to, id, body);
  return yardstickOf(far, {
    close: () => client.close(),
    oneWay: (sent) => send(sent, places.oneWay),
    asked: async (sent) => {
      const answered = new Promise<void>((resolve) => waiting.set(sent.effectKey, resolve));
      await Promise.all([send(sent, places.asked), answered]);
    },
  });
}

/** The yardstick of HTTP: requests over kept connections; the answer is the confirmation. */
export function openHttpYardstick(far: Far, places: Places): Yardstick {
  const dispatcher = new Agent({ connections: CONCURRENCY, pipelining: 1 });
  const post = async ({ body }: Sent, to: string): Promise<void> => {
    const { statusCode, body: answer } = await request(`${far.bareUrl}/${to}`, { method: 'POST', dispatcher, body });
    await answer.text();
    if (statusCode !== 200) throw new Error(`the yardstick was answered with HTTP ${statusCode}`);
  };
  return yardstickOf(far, {
    close: () => dispatcher.close(),
    oneWay: (sent) => post(sent, places.oneWay),
    asked: (sent) => post(sent, places.asked),
  });
}

/** A message as Settle would write it. */
interface Sent {
  readonly id: string;
  readonly effectKey: string;
  readonly body: Buffer;
}

interface Sender {
  oneWay(sent: Sent): Promise<void>;
  asked(sent: Sent): Promise<void>;
  close(): Promise<void>;
}

function yardstickOf(far: Far, { oneWay, asked, close }: Sender): Yardstick {
  let sent = 0;
  return {
    oneWay: async (count) => {
      const received = far.received((sent += count));
      await inLanes(count, () => oneWay(write('one-way')));
      await received;
    },
    asked: (count, batch) => inLanes(count, () => asked(write(batch))),
    close,
  };
}

async function inLanes(count: number, send: () => Promise<void>): Promise<void> {
  let left = count;
  const lane = async (): Promise<void> => {
    while (left-- > 0) await send();
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, lane));
}

function write(batch: string): Sent {
  const messageId = `om_${v7()}`;
  const plain = { messageId, tenantId: 'default', type: note.type, payload: payloadOf(batch), revision: 0 };
  const envelope = envelopeOf('/settle/outbox', { ...plain, recordedAt: new Date() });
  const replyTo = { address: 'settle-replies-bench', token: 'x'.repeat(43) };
  const { id, body } = encodeCloudEvent({ attributes: attributesOf({ ...envelope, replyTo }), data: envelope.payload });
  return { id, effectKey: envelope.effectKey, body };
}
