import { BrokerError } from './broker.js';
import type { BrokerMessage, PublishOptions } from './broker.js';
import { reasonOf } from './rabbitmq-connection.js';
import type { RabbitConnection } from './rabbitmq-connection.js';
import { checkSize } from './rabbitmq-message.js';
import { createOutgoing } from './rabbitmq-outgoing.js';
import type { Passage } from './rabbitmq-outgoing.js';

export interface RabbitPublisher {
  /** As the port says. While there is no connection it waits for one, for as long as a confirmation may take. */
  publish(message: BrokerMessage, options: PublishOptions): Promise<void>;
  /** Takes nothing new and waits for what is being published, each for its own time at the most. */
  drain(): Promise<void>;
}

const NAME_BYTES = 255;

export function createPublisher(connection: RabbitConnection): RabbitPublisher {
  const outgoing = createOutgoing(connection);
  const underWay = new Set<Promise<void>>();
  let isClosed = false;

  function check(passage: Passage): void {
    const { message, queue } = passage;
    if (isClosed) throw unreachable(passage, new Error('it has been closed here'));
    if (queue === '' || Buffer.byteLength(queue) > NAME_BYTES)
      throw new BrokerError('unroutable', `message '${message.id}' was not sent: no queue can be called '${queue}'`);
    checkSize(message, queue, outgoing.maxBytes());
    outgoing.refuseWhenFull(passage);
  }

  /** What the client threw, in the words of the port. */
  function explain(passage: Passage, cause: Error & { readonly code?: string }): BrokerError {
    if (cause instanceof BrokerError) return cause;
    const limit = outgoing.maxBytes();
    if (passage.message.body.length > limit) return tooLarge(passage, limit);
    if (!passage.hasLeft) return unreachable(passage, connection.problem() ?? cause);
    if (cause.code === 'NACK') {
      const text = `${nameOf(passage)} was not sent: RabbitMQ refused it, as the queue is at its limit or has no leader`;
      return new BrokerError('full', `${text}; try again later`, { cause });
    }
    const text = `${nameOf(passage)} may not have been sent: ${reasonOf(connection.problem() ?? cause)}`;
    return new BrokerError('unavailable', `${text}; send it again`, { cause });
  }

  function giveUp(passage: Passage, timeoutMs: number): BrokerError {
    passage.isGivenUp = true;
    const cause = connection.problem();
    if (!passage.hasLeft) return unreachable(passage, cause);
    const text = `${nameOf(passage)} may not have been sent: RabbitMQ has not confirmed it within ${timeoutMs} ms`;
    return new BrokerError('timeout', `${text}; send it again`, { cause });
  }

  return {
    publish: async (message, { to, timeoutMs }) => {
      const passage: Passage = { message, queue: to, hasLeft: false, isGivenUp: false };
      check(passage);
      const sent = outgoing.send(passage).catch((cause: Error) => {
        throw explain(passage, cause);
      });
      const waited = orAfter(timeoutMs, sent, () => giveUp(passage, timeoutMs));
      underWay.add(waited);
      try {
        await waited;
      } finally {
        underWay.delete(waited);
      }
    },
    drain: async () => {
      isClosed = true;
      await Promise.allSettled(underWay);
      await outgoing.close();
    },
  };
}

/** Rejects with what `explain` says when `work` has not settled in time; what becomes of it later concerns nobody. */
function orAfter(ms: number, work: Promise<void>, explain: () => Error): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(explain()), ms);
    void work.then(resolve, reject).then(() => clearTimeout(timer));
  });
}

function nameOf({ message, queue }: Passage): string {
  return `message '${message.id}' to queue '${queue}'`;
}

function tooLarge(passage: Passage, limit: number): BrokerError {
  const text = `${nameOf(passage)} was not sent: its body is of ${passage.message.body.length} bytes`;
  return new BrokerError('too-large', `${text}, this RabbitMQ takes ${limit}; send a reference to what is large`);
}

function unreachable(passage: Passage, cause: Error | undefined): BrokerError {
  const text = `${nameOf(passage)} was not sent: RabbitMQ cannot be reached (${reasonOf(cause)}); try again`;
  return new BrokerError('unavailable', text, { cause });
}
