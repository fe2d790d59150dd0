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
  /**
   * Asks for nothing more. What comes still, for which the broker was asked before, is begun, as it would take seconds to come again;
   * what has been waiting for its turn goes back, and so does everything that is not begun within some seconds.
   */
  stop(): void;
  /** Resolves once nothing is in hand. */
  empty(): Promise<void>;
}

export interface HandOptions {
  readonly client: RocketMqClient;
  readonly clientId: string;
  readonly subscription: Subscription;
  /** In ms. @default the system's */
  readonly clock?: () => number;
}

/** After the first rejection; doubles with each. */
const FIRST_BACK_MS = 1_000;
const LAST_BACK_MS = 30_000;
/** After it has been stopped: a call that is open brings nothing later, and what it brings may have to wait for its turn. */
const BEGINS_MS = 8_000;

export function createHand({ client, clientId, subscription, clock = Date.now }: HandOptions): Hand {
  const { group, ordered = false, handle, onTrouble } = subscription;
  const counts = new Map<string, number>();
  const held = new Set<Delivery>();
  // their key has been given back before them: they must not overtake it
  const overtaking = new Set<Delivery>();
  const lanes = createLanes();
  let stoppedAtMs = Infinity;
  const changed = createSignal();
  const count = (share: string, by: number): void => {
    counts.set(share, (counts.get(share) ?? 0) + by);
    if (by < 0) changed.fire();
  };
  const holdBack = ({ message: { key } }: Delivery): void => {
    for (const other of ordered ? held : []) if (other.message.key === key) overtaking.add(other);
  };
  const isStopped = (): boolean => stoppedAtMs < Infinity;
  const process = async (delivery: Delivery, cameAfterwards: boolean): Promise<void> => {
    const isOver = isStopped() && (!cameAfterwards || clock() > stoppedAtMs + BEGINS_MS);
    if (isOver) holdBack(delivery);
    if (isOver || overtaking.has(delivery)) return delivery.giveBack(FIRST_BACK_MS);
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
      const cameAfterwards = isStopped();
      held.add(delivery);
      count(share, 1);
      const work = (): Promise<void> => process(delivery, cameAfterwards);
      void (ordered && key !== undefined ? lanes.run(key, work) : work()).finally(() => {
        held.delete(delivery);
        overtaking.delete(delivery);
        count(share, -1);
      });
    },
    room: async (share, limit) => {
      while (!isStopped() && (counts.get(share) ?? 0) >= limit) await changed.fired;
      return isStopped() ? 0 : limit - (counts.get(share) ?? 0);
    },
    stop: () => {
      stoppedAtMs = Math.min(stoppedAtMs, clock());
      changed.fire();
    },
    empty: async () => {
      while (held.size > 0) await changed.fired;
    },
  };
}

/** Tells those who wait, again and again. */
interface Signal {
  /** Resolves when it fires the next time. */
  readonly fired: Promise<void>;
  readonly fire: () => void;
}

function createSignal(): Signal {
  let resolve!: () => void;
  let fired: Promise<void>;
  // one that stayed fired would let whoever waits again spin, and nothing else would ever run
  const arm = (): void => void (fired = new Promise((fire) => (resolve = fire)));
  arm();
  return {
    get fired() {
      return fired;
    },
    fire: () => {
      const fire = resolve;
      arm();
      fire();
    },
  };
}
