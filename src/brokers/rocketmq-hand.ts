import type { Message } from 'rocketmq-client-nodejs/proto/apache/rocketmq/v2/definition_pb.js';
import type { Subscription } from './broker.js';
import type { RocketMqClient } from './rocketmq-client.js';
import { takeDelivery } from './rocketmq-delivery.js';
import type { Delivery } from './rocketmq-delivery.js';
import { createLanes } from './rocketmq-lanes.js';

/** The messages that a consumer has in hand, from their coming until they are acknowledged or given back. */
export interface Hand {
  /** Takes a message and has it handled. */
  take(raw: Message, share: string): void;
  /** How many more it takes, at least one: waits for it. Zero once it is stopped. */
  room(share: string, limit: number): Promise<number>;
  /** Asks for nothing more, and begins only what comes from now on, for which the broker was asked before: it would take seconds to go back. */
  stop(): void;
  /** Resolves once nothing is in hand. */
  empty(): Promise<void>;
}

export interface HandOptions {
  readonly client: RocketMqClient;
  readonly clientId: string;
  readonly subscription: Subscription;
}

/** After the first rejection; doubles with each. */
const FIRST_BACK_MS = 1_000;
const LAST_BACK_MS = 30_000;

export function createHand({ client, clientId, subscription }: HandOptions): Hand {
  const { group, ordered = false, handle, onTrouble } = subscription;
  const counts = new Map<string, number>();
  const held = new Set<Delivery>();
  // their key has been given back before them: they must not overtake it
  const overtaking = new Set<Delivery>();
  const lanes = createLanes();
  let isStopped = false;
  let changed = createSignal();
  const tell = (): void => {
    const { fire } = changed;
    // a signal that has fired would let whoever waits again spin, and nothing else would ever run
    changed = createSignal();
    fire();
  };
  const count = (share: string, by: number): void => {
    counts.set(share, (counts.get(share) ?? 0) + by);
    if (by < 0) tell();
  };
  const holdBack = ({ message: { key } }: Delivery): void => {
    for (const other of ordered ? held : []) if (other.message.key === key) overtaking.add(other);
  };
  const process = async (delivery: Delivery, isLate: boolean): Promise<void> => {
    if ((isStopped && !isLate) || overtaking.has(delivery)) return delivery.giveBack(FIRST_BACK_MS);
    try {
      await handle(delivery.message);
    } catch {
      holdBack(delivery);
      return delivery.giveBack(Math.min(FIRST_BACK_MS * 2 ** (delivery.attempt - 1), LAST_BACK_MS));
    }
    return delivery.acknowledge();
  };
  return {
    take: (raw, share) => {
      const delivery = takeDelivery({ client, clientId, group, isOrdered: ordered, onTrouble }, raw);
      const { key } = delivery.message;
      const isLate = isStopped;
      held.add(delivery);
      count(share, 1);
      const work = (): Promise<void> => process(delivery, isLate);
      void (ordered && key !== undefined ? lanes.run(key, work) : work()).finally(() => {
        held.delete(delivery);
        overtaking.delete(delivery);
        count(share, -1);
      });
    },
    room: async (share, limit) => {
      while (!isStopped && (counts.get(share) ?? 0) >= limit) await changed.fired;
      return isStopped ? 0 : limit - (counts.get(share) ?? 0);
    },
    stop: () => {
      isStopped = true;
      tell();
    },
    empty: async () => {
      while (held.size > 0) await changed.fired;
    },
  };
}

interface Signal {
  readonly fired: Promise<void>;
  readonly fire: () => void;
}

function createSignal(): Signal {
  let fire!: () => void;
  const fired = new Promise<void>((resolve) => (fire = resolve));
  return { fired, fire };
}
