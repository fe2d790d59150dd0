import { setTimeout as delay } from 'node:timers/promises';
import type { Message } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import service from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/service_pb.js';
import type { IncomingMessage } from './broker.js';
import { StatusError, checkStatus } from './rocketmq-client.js';
import type { RocketMqClient } from './rocketmq-client.js';
import { decodeMessage } from './rocketmq-message.js';
import { durationOf, resourceOf } from './rocketmq-values.js';

/** For how long nobody else gets a message; renewed while it is in hand, so that only a killed consumer lets it pass. */
export const INVISIBLE_MS = 15_000;
const RENEW_MS = 5_000;
const CALL_MS = 3_000;
/** For how long an acknowledgement is tried again while the server is away; later the message comes again anyway. */
const PERSIST_MS = 8_000;
const RETRY_MS = 250;

/** A message in hand: hidden from the other consumers until it is acknowledged or given back. */
export interface Delivery {
  readonly message: IncomingMessage;
  /** Which delivery of this message it is, from 1. */
  readonly attempt: number;
  /** It will not come again; never rejects. */
  acknowledge(): Promise<void>;
  /** It comes again after `afterMs`, to this consumer or another; never rejects. */
  giveBack(afterMs: number): Promise<void>;
}

export interface DeliveryContext {
  readonly client: RocketMqClient;
  readonly clientId: string;
  readonly group: string;
  /** Whether the group is an ordered one: the broker then miscounts deliveries, and a repetition cannot be told. */
  readonly isOrdered: boolean;
  readonly onTrouble: (error: Error) => void;
}

/** Takes a message into hand. */
export function takeDelivery(context: DeliveryContext, raw: Message): Delivery {
  const { client, group, onTrouble } = context;
  const decoded = decodeMessage(raw);
  const message = { ...decoded, isRedelivered: decoded.isRedelivered || context.isOrdered };
  const messageId = raw.getSystemProperties()!.getMessageId();
  const call = { clientId: context.clientId, timeoutMs: CALL_MS };
  // each renewal makes the receipt before it void, so that they must not overlap with an acknowledgement
  let receipt = raw.getSystemProperties()!.getReceiptHandle()!;
  let turn: Promise<void> = Promise.resolve();
  const inTurn = (what: string, work: () => Promise<void>): Promise<void> => {
    turn = turn.then(work).catch((cause: unknown) => {
      const reason = (cause as Error).message;
      onTrouble(new Error(`message '${message.id}' from '${message.from}' ${what}: ${reason}`, { cause }));
    });
    return turn;
  };
  const hide = async (ms: number): Promise<void> => {
    const request = new service.ChangeInvisibleDurationRequest()
      .setGroup(resourceOf(group))
      .setTopic(resourceOf(message.from))
      .setMessageId(messageId)
      .setReceiptHandle(receipt)
      .setInvisibleDuration(durationOf(ms));
    receipt = (await client.call('changeInvisibleDuration', request, call)).getReceiptHandle();
  };
  const acknowledge = async (): Promise<void> => {
    const request = new service.AckMessageRequest().setGroup(resourceOf(group)).setTopic(resourceOf(message.from));
    request.addEntries().setMessageId(messageId).setReceiptHandle(receipt);
    const answer = await client.call('ackMessage', request, call);
    for (const entry of answer.getEntriesList()) checkStatus(entry.getStatus());
  };
  const renewals = setInterval(() => void inTurn('could not be kept in hand', () => hide(INVISIBLE_MS)), RENEW_MS);
  const end = (what: string, work: () => Promise<void>): Promise<void> => {
    clearInterval(renewals);
    return inTurn(what, () => persist(work));
  };
  return {
    message,
    attempt: raw.getSystemProperties()!.getDeliveryAttempt() ?? 1,
    acknowledge: () => end('was handled but not acknowledged, and may come again', acknowledge),
    giveBack: (afterMs) => end('was not given back, and comes again later', () => hide(afterMs)),
  };
}

/** Tries again what failed without an answer. */
async function persist(work: () => Promise<void>): Promise<void> {
  const end = Date.now() + PERSIST_MS;
  for (;;) {
    try {
      return await work();
    } catch (cause) {
      if (cause instanceof StatusError || Date.now() > end) throw cause;
      await delay(RETRY_MS);
    }
  }
}
