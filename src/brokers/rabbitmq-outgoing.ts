import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Channel, ReturnedMessage } from 'rabbitmq-client';
import { BrokerError } from './broker.js';
import type { BrokerMessage } from './broker.js';
import { closeChannel } from './rabbitmq-connection.js';
import type { RabbitConnection } from './rabbitmq-connection.js';
import { MAX_BYTES, toEnvelope } from './rabbitmq-message.js';

/** A message on its way. */
export interface Passage {
  readonly message: BrokerMessage;
  readonly queue: string;
  /** Whether the broker may have it already. */
  hasLeft: boolean;
  /** Whether the caller has been told that it was not sent. */
  isGivenUp: boolean;
}

/** One channel that confirms, opened when it is needed and anew when it is lost. */
export interface Outgoing {
  /**
   * Resolves once the broker has the message.
   *
   * @throws BrokerError `unroutable` or `full`; else what the client threw
   */
  send(passage: Passage): Promise<void>;
  /** @throws BrokerError `full` while the broker takes nothing */
  refuseWhenFull(passage: Passage): void;
  /** What the broker takes, as far as it has said. */
  maxBytes(): number;
  close(): Promise<void>;
}

/** The channel, and what came back on it: queue and id → how often. The same message may be on its way twice. */
interface Opened {
  readonly channel: Channel;
  readonly returned: Map<string, number>;
}

export function createOutgoing(connection: RabbitConnection): Outgoing {
  let opening: Promise<Opened> | undefined;
  let current: Channel | undefined;
  let maxBytes = MAX_BYTES;

  function opened(): Promise<Opened> {
    if (opening) return opening;
    const forget = (): void => {
      if (opening === mine) opening = undefined;
    };
    // a broker that is set up to take less says so only when it closes the channel
    const onError = (error: Error): void => void (maxBytes = Math.min(maxBytes, limitIn(error)));
    const mine = openChannel(connection, { forget, onError });
    opening = mine;
    mine.then(({ channel }) => (current = channel), forget);
    return mine;
  }

  function refuseWhenFull({ message, queue }: Passage): void {
    const reason = connection.blockedBy();
    if (reason === undefined) return;
    const what = `message '${message.id}' to queue '${queue}' was not sent: RabbitMQ takes none (${reason})`;
    throw new BrokerError('full', `${what}; give it more memory or disk, or let its queues be worked off`);
  }

  return {
    refuseWhenFull,
    maxBytes: () => maxBytes,
    send: async (passage) => {
      const { message, queue } = passage;
      const { channel, returned } = await opened();
      if (passage.isGivenUp) return;
      refuseWhenFull(passage);
      passage.hasLeft = true;
      try {
        await channel.basicPublish(toEnvelope(message, queue), message.body);
      } catch (cause) {
        maxBytes = Math.min(maxBytes, limitIn(cause as Error));
        throw cause;
      }
      // what comes back does so before it is confirmed, but the client tells it one turn later
      await nextTurn();
      if (!take(returned, nameOf(queue, message.id))) return;
      const what = `message '${message.id}' was not sent: there is no queue '${queue}'`;
      throw new BrokerError('unroutable', `${what}; declare it, or correct the route`);
    },
    close: async () => {
      if (current) await closeChannel(current);
    },
  };
}

interface Listeners {
  readonly forget: () => void;
  readonly onError: (error: Error) => void;
}

async function openChannel(connection: RabbitConnection, { forget, onError }: Listeners): Promise<Opened> {
  const channel = await connection.acquire();
  channel.on('error', onError);
  channel.on('close', forget);
  const returned = new Map<string, number>();
  channel.on('basic.return', ({ routingKey, messageId }: ReturnedMessage) => {
    const name = nameOf(routingKey, messageId);
    returned.set(name, (returned.get(name) ?? 0) + 1);
  });
  await channel.confirmSelect();
  return { channel, returned };
}

function take(returned: Map<string, number>, name: string): boolean {
  const count = returned.get(name) ?? 0;
  if (count <= 1) returned.delete(name);
  else returned.set(name, count - 1);
  return count > 0;
}

function nameOf(queue: string, id = ''): string {
  return `${queue}\0${id}`;
}

function limitIn({ message }: Error): number {
  const limit = /message size \d+ is larger than configured max size (\d+)/.exec(message)?.[1];
  return limit === undefined ? Infinity : Number(limit);
}
