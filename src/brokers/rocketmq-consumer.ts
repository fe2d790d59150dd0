import { setTimeout as delay } from 'node:timers/promises';
import type { Message, MessageQueue, Settings } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import definitions from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import type {
  ReceiveMessageRequest,
  ReceiveMessageResponse,
} from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import { BrokerError } from './broker.js';
import type { Consumption, Subscription } from './broker.js';
import { checkStatus } from './rocketmq-client.js';
import type { RocketMqClient } from './rocketmq-client.js';
import { INVISIBLE_MS } from './rocketmq-delivery.js';
import { isMissing, toBrokerError } from './rocketmq-errors.js';
import { createHand } from './rocketmq-hand.js';
import type { Hand } from './rocketmq-hand.js';
import { openSession } from './rocketmq-session.js';
import type { Session } from './rocketmq-session.js';
import type { Topics } from './rocketmq-topics.js';
import { durationOf, everything, resourceOf } from './rocketmq-values.js';

/** What producers and consumers share. */
export interface RocketMqContext {
  readonly client: RocketMqClient;
  readonly topics: Topics;
}

/** The broker gives no more at a time. */
const MOST_AT_ONCE = 32;
/** The least that the proxy lets a consumer wait for messages. */
const WAIT_MS = 5_000;
const CALL_MS = 3_000;
/** After it, group and topic are looked at again: they may have changed. */
const ROUND_MS = 30_000;
const FIRST_PAUSE_MS = 200;
const LAST_PAUSE_MS = 5_000;
/** A group that gives up earlier would put messages aside that nobody has looked at. */
const LEAST_ATTEMPTS = 1_000;

/**
 * Consumes by receiving (POP): a message is hidden while it is in hand, acknowledged one by one, and a consumer that dies lets it go.
 * Stopping one waits for the call that it has open, 5 s where nothing comes and 8 s where nobody answers, and handles what that one brings.
 */
export function consume(context: RocketMqContext, subscription: Subscription): Consumption {
  const { client } = context;
  const { group, onTrouble } = subscription;
  const stopping = new AbortController();
  const session = openSession({ client, group, settings: settingsOf(subscription), onTrouble });
  const hand = createHand({ client, clientId: session.clientId, subscription });
  const receive = createReceiver({ context, subscription, session, hand, signal: stopping.signal });
  let tellReady!: () => void;
  let tellStopped!: (error: Error) => void;
  const ready = new Promise<void>((resolve, reject) => {
    tellReady = resolve;
    tellStopped = reject;
  });
  // whoever does not wait for it must not be ended by it
  ready.catch(() => undefined);
  const running = (async () => {
    let pauseMs = FIRST_PAUSE_MS;
    while (!stopping.signal.aborted) {
      try {
        await receive({ onReady: tellReady, onAnswer: () => (pauseMs = FIRST_PAUSE_MS) });
      } catch (cause) {
        if (stopping.signal.aborted) break;
        if (isMissing(cause)) context.topics.forget(subscription.from);
        onTrouble(toBrokerError(cause, `group '${group}' cannot consume '${subscription.from}'`));
        await delay(pauseMs, undefined, { signal: stopping.signal }).catch(() => undefined);
        pauseMs = Math.min(2 * pauseMs, LAST_PAUSE_MS);
      }
    }
  })();
  let stopped: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    stopping.abort();
    hand.stop();
    tellStopped(new BrokerError('unavailable', `group '${group}' was stopped before it could consume`));
    await running;
    await hand.empty();
    await session.close();
  };
  return { ready, stop: () => (stopped ??= stop()) };
}

interface ReceiverOptions {
  readonly context: RocketMqContext;
  readonly subscription: Subscription;
  readonly session: Session;
  readonly hand: Hand;
  readonly signal: AbortSignal;
}

/** Told how it goes. */
interface Progress {
  readonly onReady: () => void;
  readonly onAnswer: () => void;
}

/** Receives until it is stopped or something fails. */
type Receiver = (progress: Progress) => Promise<void>;

function createReceiver({ context, subscription, session, hand, signal }: ReceiverOptions): Receiver {
  const { from, prefetch = 64 } = subscription;
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  const receive = async (queue: MessageQueue, most: number): Promise<void> => {
    const request = requestOf(subscription, queue).setBatchSize(Math.min(most, MOST_AT_ONCE));
    const call = { clientId: session.clientId, timeoutMs: WAIT_MS + CALL_MS };
    // what follows a message of its key must be in hand before that one can fail, or it would overtake it
    const batch: Message[] = [];
    // not cancelled when it stops: the proxy would still give the next message to this call, and hide it from the others for 15 s and more
    const take = (raw: Message): void => hand.take(raw, brokerOf(queue));
    try {
      await read(context.client.receive(request, call), (raw) => {
        if (subscription.ordered === true) batch.push(raw);
        else take(raw);
      });
    } finally {
      // those of a call that has broken in its midst are ours too
      batch.forEach(take);
    }
  };
  return async ({ onReady, onAnswer }) => {
    const settings = await Promise.race([session.settings(), aborted]);
    if (!settings) return;
    checkGroup(subscription, settings);
    const topic = await context.topics.find(from, CALL_MS);
    if (subscription.ordered === true) topic.check('fifo');
    onReady();
    // with several brokers each has its share: one that waits for messages holds the room that it asked for
    const queues = topic.queues.slice(0, prefetch);
    const share = Math.floor(prefetch / queues.length);
    const end = Date.now() + ROUND_MS;
    let hasFailed = false;
    const work = queues.map(async (queue) => {
      while (!signal.aborted && !hasFailed && Date.now() < end) {
        const room = await hand.room(brokerOf(queue), share);
        if (room > 0) await receive(queue, room);
        onAnswer();
      }
    });
    // all of them end before the next round begins, which would else ask for the same room
    await Promise.all(work.map((each) => each.catch(() => void (hasFailed = true)))).then(() => Promise.all(work));
  };
}

function brokerOf(queue: MessageQueue): string {
  return queue.getBroker()!.getName();
}

function checkGroup({ group, ordered = false }: Subscription, settings: Settings): void {
  const attempts = settings.getBackoffPolicy()?.getMaxAttempts() ?? 0;
  const problem =
    attempts < LEAST_ATTEMPTS
      ? `the broker would put its messages aside after ${attempts} deliveries`
      : ordered && settings.getSubscription()?.getFifo() !== true
        ? 'it is not an ordered one'
        : undefined;
  if (problem === undefined) return;
  const flags = `-g ${group} -r 1000000${ordered ? ' -o true' : ''}`;
  throw new BrokerError('unroutable', `${problem}; set the group up with \`mqadmin updateSubGroup ${flags}\``);
}

async function read(receiving: AsyncIterable<ReceiveMessageResponse>, take: (raw: Message) => void): Promise<void> {
  for await (const part of receiving) {
    const raw = part.getMessage();
    const code = part.getStatus()?.getCode();
    if (raw) take(raw);
    else if (code !== definitions.Code.MESSAGE_NOT_FOUND) checkStatus(part.getStatus());
  }
}

function settingsOf({ from, group }: Subscription): Settings {
  const subscription = new definitions.Subscription().setGroup(resourceOf(group));
  subscription.addSubscriptions().setTopic(resourceOf(from)).setExpression(everything());
  return new definitions.Settings()
    .setClientType(definitions.ClientType.SIMPLE_CONSUMER)
    .setSubscription(subscription)
    .setRequestTimeout(durationOf(CALL_MS));
}

function requestOf({ group }: Subscription, queue: MessageQueue): ReceiveMessageRequest {
  return new service.ReceiveMessageRequest()
    .setGroup(resourceOf(group))
    .setMessageQueue(queue)
    .setFilterExpression(everything())
    .setLongPollingTimeout(durationOf(WAIT_MS))
    .setInvisibleDuration(durationOf(INVISIBLE_MS))
    .setAutoRenew(false);
}
