import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import type { BrokerMessage, Destination, PublishOptions } from './broker.js';
import { BrokerError } from './broker.js';
import type { RocketMqContext } from './rocketmq-consumer.js';
import { isMissing, toBrokerError } from './rocketmq-errors.js';
import { createLanes } from './rocketmq-lanes.js';
import { encodeMessage, headerBytesOf } from './rocketmq-message.js';
import type { MessageKind } from './rocketmq-message.js';
import type { Topic } from './rocketmq-topics.js';

/** Of body and headers together; the broker's default is 4 MiB for the body alone. */
export const MAX_BYTES = 4 * 1024 * 1024;
/** The proxy's `maxUserPropertySize`. */
const MAX_HEADER_BYTES = 16 * 1024;
const DECLARE_MS = 5_000;

/** Sends messages that are no half messages. */
export interface Publisher {
  /** As `Broker` says. */
  publish(message: BrokerMessage, options: PublishOptions): Promise<void>;
  /** Clients cannot create topics: makes sure that there is one of the right type. */
  declare(destination: Destination): Promise<void>;
  /** Resolves once nothing is being sent. */
  drain(): Promise<void>;
}

/** A message, and until when it may take. */
interface Sending {
  readonly message: BrokerMessage;
  readonly to: string;
  readonly isOrdered: boolean;
  readonly end: number;
}

export function createPublisher({ client, topics }: RocketMqContext): Publisher {
  const clientId = client.createClientId();
  const lanes = createLanes();
  const underWay = new Set<Promise<void>>();
  const send = async ({ message, to, isOrdered, end }: Sending): Promise<void> => {
    const topic = await topics.find(to, leftUntil(end));
    const kind = kindFor(topic, isOrdered);
    topic.check(kind);
    const request = new service.SendMessageRequest().setMessagesList([encodeMessage(message, to, kind)]);
    await client.call('sendMessage', request, { clientId, timeoutMs: leftUntil(end) });
  };
  return {
    publish: async (message, { to, timeoutMs, ordered: isOrdered = false }) => {
      checkSize(message, to);
      const sending = { message, to, isOrdered, end: Date.now() + timeoutMs };
      const hasOrder = isOrdered && message.key !== undefined;
      // two that are on their way at once could change places
      const work = hasOrder ? lanes.run(`${to} ${message.key}`, () => send(sending)) : send(sending);
      underWay.add(work);
      try {
        await work;
      } catch (cause) {
        if (isMissing(cause)) topics.forget(to);
        throw toBrokerError(cause, notSent(message, to));
      } finally {
        underWay.delete(work);
      }
    },
    declare: async ({ name, ordered = false }) => {
      try {
        const topic = await topics.find(name, DECLARE_MS);
        topic.check(kindFor(topic, ordered));
      } catch (cause) {
        throw toBrokerError(cause, `topic '${name}' cannot be used`);
      }
    },
    drain: async () => void (await Promise.allSettled(underWay)),
  };
}

/**
 * Refuses what the broker would refuse.
 *
 * @throws BrokerError `too-large`
 */
export function checkSize(message: BrokerMessage, to: string): void {
  const headerBytes = headerBytesOf(message);
  const bytes = message.body.length + headerBytes;
  if (bytes > MAX_BYTES) throw tooLarge(`it has ${bytes} bytes, and RocketMQ takes ${MAX_BYTES}; send less`);
  if (headerBytes > MAX_HEADER_BYTES)
    throw tooLarge(`its headers have ${headerBytes} bytes, and RocketMQ takes ${MAX_HEADER_BYTES}; use the body`);

  function tooLarge(why: string): BrokerError {
    return new BrokerError('too-large', `${notSent(message, to)}: ${why}`);
  }
}

/** The beginning of each error of a message. */
export function notSent({ id }: BrokerMessage, to: string): string {
  return `message '${id}' was not sent to '${to}'`;
}

/** A topic of type FIFO takes nothing else: what needs no order goes there in a message group of its own. */
function kindFor(topic: Topic, isOrdered: boolean): MessageKind {
  const isFifo = isOrdered || (!topic.accepts('normal') && topic.accepts('fifo'));
  return isFifo ? 'fifo' : 'normal';
}

function leftUntil(end: number): number {
  const left = end - Date.now();
  if (left > 0) return left;
  throw new BrokerError('timeout', 'its time was up before its turn came');
}
