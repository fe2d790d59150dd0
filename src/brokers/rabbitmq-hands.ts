import { setTimeout as delay } from 'node:timers/promises';
import type { AsyncMessage, Channel } from 'rabbitmq-client';
import type { IncomingMessage, Subscription } from './broker.js';
import { deliveriesBefore, toIncoming } from './rabbitmq-message.js';

/** Has messages handled, and acknowledges them. */
export interface Hands {
  take(delivery: AsyncMessage): void;
  /** Waits for what was begun; never rejects. */
  finish(): Promise<void>;
}

export interface HandsOptions {
  readonly channel: Channel;
  readonly subscription: Subscription;
  /** Aborted: begins nothing more. */
  readonly signal: AbortSignal;
}

/** A message and how it is answered. */
interface Task {
  readonly message: IncomingMessage;
  readonly deliveriesBefore: number;
  acknowledge(): void;
  giveBack(): void;
}

type Work = (task: Task) => Promise<void>;

/** The first time a message goes back at once; one that is always rejected must not keep everybody busy. */
const PAUSE_MS = { first: 50, most: 2_000 };

/** Begins messages as they come; those of one key of an ordered queue one after the other. */
export function createHands({ channel, subscription, signal }: HandsOptions): Hands {
  const { from, onTrouble, ordered = false } = subscription;
  const begun = new Set<Promise<void>>();
  // also when the channel is lost, before anybody else notices
  const over = new AbortController();
  const end = (): void => over.abort();
  channel.once('close', end);
  signal.addEventListener('abort', end, { once: true });
  const work = ordered ? inLanes(workInOrder(subscription, over.signal)) : workOnce(subscription, over.signal);

  function answer(id: string, what: string, give: () => void): void {
    try {
      give();
    } catch (cause) {
      const text = `message '${id}' from queue '${from}' was ${what}, but RabbitMQ could not be told: it comes again`;
      onTrouble(new Error(text, { cause }));
    }
  }

  return {
    take: (delivery) => {
      const { deliveryTag } = delivery;
      const message = toIncoming(delivery, from);
      const each = work({
        message,
        deliveriesBefore: deliveriesBefore(delivery),
        acknowledge: () => answer(message.id, 'handled', () => channel.basicAck({ deliveryTag })),
        // a channel that is closed has given everything back
        giveBack: () =>
          channel.active && answer(message.id, 'rejected', () => channel.basicNack({ deliveryTag, requeue: true })),
      });
      begun.add(each);
      void each.then(() => begun.delete(each));
    },
    finish: async () => {
      while (begun.size > 0) await Promise.all(begun);
    },
  };
}

/** A message that is rejected goes back to the queue, and any consumer may get it. */
function workOnce({ handle }: Subscription, over: AbortSignal): Work {
  return async ({ message, deliveriesBefore: attempts, acknowledge, giveBack }) => {
    if (over.aborted) return giveBack();
    try {
      await handle(message);
    } catch {
      // whoever handles it knows why; here it only has to come again
      await pauseBefore(attempts, over);
      return giveBack();
    }
    acknowledge();
  };
}

/**
 * A message that is rejected is kept and tried again here, as the queue gives its messages to this consumer only: given back, it would be
 * overtaken by those that are here already. When this ends they go back together, in order, as the channel is closed.
 */
function workInOrder({ handle }: Subscription, over: AbortSignal): Work {
  return async ({ message, deliveriesBefore: before, acknowledge }) => {
    for (let attempts = before; !over.aborted; attempts++) {
      try {
        await handle(attempts === before ? message : { ...message, isRedelivered: true });
      } catch {
        await pauseBefore(attempts, over);
        continue;
      }
      return acknowledge();
    }
  };
}

/** Key → the last of its messages. What has no key waits for nothing. */
function inLanes(work: Work): Work {
  const lanes = new Map<string, Promise<void>>();
  return async (task) => {
    const { key } = task.message;
    if (key === undefined) return work(task);
    const before = lanes.get(key);
    const mine = before === undefined ? work(task) : before.then(() => work(task));
    lanes.set(key, mine);
    await mine;
    if (lanes.get(key) === mine) lanes.delete(key);
  };
}

async function pauseBefore(attempts: number, over: AbortSignal): Promise<void> {
  if (attempts === 0) return;
  await pause(Math.min(PAUSE_MS.most, PAUSE_MS.first * 2 ** Math.min(attempts, 10)), over);
}

/** Waits, but not beyond the end. */
export async function pause(ms: number, over: AbortSignal): Promise<void> {
  await delay(ms, undefined, { signal: over }).catch(() => undefined);
}
