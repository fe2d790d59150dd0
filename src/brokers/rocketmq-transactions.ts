import type { Message } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import type { BrokerMessage } from './broker.js';
import { BrokerError } from './broker.js';
import type { RocketMqContext } from './rocketmq-consumer.js';
import { toBrokerError } from './rocketmq-errors.js';
import { decodeMessage, encodeMessage } from './rocketmq-message.js';
import { checkSize, notSent } from './rocketmq-publisher.js';
import { openSession } from './rocketmq-session.js';
import { durationOf, resourceOf } from './rocketmq-values.js';

/** What a producer says of a half message. */
export type HalfMessageDecision = 'commit' | 'rollback' | 'unknown';

export interface HalfMessagesOptions {
  /** A topic of type TRANSACTION. */
  readonly to: string;
  /**
   * Asked once a half message is stored, and by each check-back. It must read the producer's ledger, and must never give two different
   * verdicts for one message: RocketMQ itself lets a late commit win over a rollback. What it throws counts as `unknown`.
   */
  readonly decide: (id: string) => Promise<HalfMessageDecision>;
  /** Told of what does not end it: a lost connection, a verdict that did not reach the broker, which will then ask again. */
  readonly onTrouble: (error: Error) => void;
}

/** Half messages of one topic. */
export interface HalfMessages {
  /** Resolves once the broker would ask this process. */
  readonly ready: Promise<void>;
  /**
   * Stores a message that nobody gets, asks `decide`, and passes the verdict on.
   *
   * @returns the verdict; after `unknown`, and where it did not reach the broker, the broker asks again
   * @throws BrokerError when the half message was not stored
   */
  publish(message: BrokerMessage, options: { readonly timeoutMs: number }): Promise<HalfMessageDecision>;
  /** Finishes what is being sent and answered. */
  stop(): Promise<void>;
}

/** A half message, as the broker finds it again. */
interface Half {
  readonly id: string;
  readonly messageId: string;
  readonly transactionId: string;
  readonly isCheck: boolean;
}

const CALL_MS = 3_000;

/** Sends half messages to a topic and answers check-backs for it. */
export function openHalfMessages(context: RocketMqContext, options: HalfMessagesOptions): HalfMessages {
  const { client } = context;
  const { to, decide, onTrouble } = options;
  const underWay = new Set<Promise<unknown>>();
  const track = <T>(work: Promise<T>): Promise<T> => {
    underWay.add(work);
    void work.catch(() => undefined).finally(() => underWay.delete(work));
    return work;
  };
  const resolve = async (half: Half): Promise<HalfMessageDecision> => {
    try {
      const decision = await decide(half.id);
      const call = { clientId: session.clientId, timeoutMs: CALL_MS };
      if (decision !== 'unknown') await client.call('endTransaction', verdictOf(half, to, decision), call);
      return decision;
    } catch (cause) {
      onTrouble(toBrokerError(cause, `no verdict of half message '${half.id}' has reached '${to}', which asks again`));
      return 'unknown';
    }
  };
  const session = openSession({
    client,
    settings: settingsOf(to),
    onTrouble,
    onOrphan: (command) => void track(resolve(halfOf(command.getMessage()!, command.getTransactionId(), true))),
  });
  let isStopped = false;
  return {
    ready: session.settings().then(() => undefined),
    publish: async (message, { timeoutMs }) => {
      checkSize(message, to);
      if (isStopped)
        throw new BrokerError('unavailable', `${notSent(message, to)}: its half messages have been stopped`);
      const sending = { message, to, clientId: session.clientId, end: Date.now() + timeoutMs };
      return track(sendHalf(context, sending).then(resolve));
    },
    stop: async () => {
      isStopped = true;
      await Promise.allSettled(underWay);
      await session.close();
    },
  };
}

interface Sending {
  readonly message: BrokerMessage;
  readonly to: string;
  readonly clientId: string;
  readonly end: number;
}

async function sendHalf({ client, topics }: RocketMqContext, { message, to, clientId, end }: Sending): Promise<Half> {
  try {
    (await topics.find(to, end - Date.now())).check('transaction');
    const encoded = encodeMessage(message, to, 'transaction');
    const request = new service.SendMessageRequest().setMessagesList([encoded]);
    const answer = await client.call('sendMessage', request, { clientId, timeoutMs: end - Date.now() });
    return halfOf(encoded, answer.getEntriesList()[0]!.getTransactionId(), false);
  } catch (cause) {
    throw toBrokerError(cause, notSent(message, to));
  }
}

function halfOf(message: Message, transactionId: string, isCheck: boolean): Half {
  return {
    id: decodeMessage(message).id,
    messageId: message.getSystemProperties()!.getMessageId(),
    transactionId,
    isCheck,
  };
}

function verdictOf(
  half: Half,
  to: string,
  decision: 'commit' | 'rollback',
): InstanceType<typeof service.EndTransactionRequest> {
  const { TransactionResolution, TransactionSource } = definitions;
  return new service.EndTransactionRequest()
    .setTopic(resourceOf(to))
    .setMessageId(half.messageId)
    .setTransactionId(half.transactionId)
    .setResolution(decision === 'commit' ? TransactionResolution.COMMIT : TransactionResolution.ROLLBACK)
    .setSource(half.isCheck ? TransactionSource.SOURCE_SERVER_CHECK : TransactionSource.SOURCE_CLIENT);
}

function settingsOf(to: string): InstanceType<typeof definitions.Settings> {
  const publishing = new definitions.Publishing().setTopicsList([resourceOf(to)]).setValidateMessageType(true);
  return new definitions.Settings()
    .setClientType(definitions.ClientType.PRODUCER)
    .setPublishing(publishing)
    .setRequestTimeout(durationOf(CALL_MS));
}
