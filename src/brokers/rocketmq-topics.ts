import type { MessageQueue } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import { BrokerError } from './broker.js';
import type { RocketMqClient } from './rocketmq-client.js';
import { typeOf } from './rocketmq-message.js';
import type { MessageKind } from './rocketmq-message.js';
import { endpointsOf, resourceOf } from './rocketmq-values.js';

/** What is known of a topic. */
export interface Topic {
  /** @throws BrokerError `unroutable` when it takes no messages of this kind */
  check(kind: MessageKind): void;
  accepts(kind: MessageKind): boolean;
  /** One queue a broker: the broker chooses among its own. */
  readonly queues: readonly MessageQueue[];
}

/** Asks the proxy for topics, and remembers for a while what it said. */
export interface Topics {
  /**
   * @throws StatusError when there is none
   * @throws Error of gRPC
   */
  find(name: string, timeoutMs: number): Promise<Topic>;
  /** Asks anew the next time. */
  forget(name: string): void;
}

/** As the other clients do; a topic that has moved or changed is noticed by then. */
const FRESH_MS = 30_000;

export function createTopics(client: RocketMqClient, address: string): Topics {
  const clientId = client.createClientId();
  const known = new Map<string, { readonly topic: Promise<Topic>; readonly until: number }>();
  const ask = async (name: string, timeoutMs: number): Promise<Topic> => {
    const request = new service.QueryRouteRequest().setTopic(resourceOf(name)).setEndpoints(endpointsOf(address));
    const answer = await client.call('queryRoute', request, { clientId, timeoutMs });
    return topicOf(name, answer.getMessageQueuesList());
  };
  return {
    find: (name, timeoutMs) => {
      const found = known.get(name);
      if (found && found.until > Date.now()) return found.topic;
      const topic = ask(name, timeoutMs);
      const entry = { topic, until: Date.now() + FRESH_MS };
      known.set(name, entry);
      topic.catch(() => known.get(name) === entry && known.delete(name));
      return topic;
    },
    forget: (name) => void known.delete(name),
  };
}

function topicOf(name: string, queues: readonly MessageQueue[]): Topic {
  const types = new Set<number>(queues.flatMap((queue) => queue.getAcceptMessageTypesList()));
  const accepts = (kind: MessageKind): boolean => types.size === 0 || types.has(typeOf(kind));
  const brokers = new Map(queues.map((queue) => [queue.getBroker()!.getName(), queue]));
  return {
    queues: [...brokers.values()],
    accepts,
    check: (kind) => {
      if (accepts(kind)) return;
      throw new BrokerError(
        'unroutable',
        `topic '${name}' takes no messages of type ${kind.toUpperCase()}; a topic that does is created with ` +
          `\`mqadmin updateTopic -a +message.type=${kind.toUpperCase()}\``,
      );
    },
  };
}
