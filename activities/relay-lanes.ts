import type { OutboxMessage } from '../src/db/outbox.js';

/** The messages that a relay has in hand: a lane for each type, each as wide as the others. */
export interface Lanes {
  /** How many more each lane can take. */
  room(): ReadonlyMap<string, number>;
  /** What a lane takes that does not exist yet. */
  readonly otherwise: number;
  /**
   * Takes what was looked at: the claimed ones are sent as soon as their lane has a place.
   *
   * @param sendBefore ms since the epoch; one that has not been sent by then is given back
   */
  take(messages: readonly OutboxMessage[], sendBefore: number): void;
  /** Sends nothing more, and waits for what is under way. */
  stop(): Promise<unknown>;
  /** What was taken and not sent. */
  unsent(): readonly OutboxMessage[];
}

export interface LanesOptions {
  /** Sent at a time, in each lane. */
  readonly concurrency: number;
  /** How many of a type its participant would be sent now: no limit, one, or none. */
  readonly mostOf: (type: string) => number;
  /** Whether one more of a type may be sent now. */
  readonly mayBegin: (type: string) => boolean;
  /** Sends one and sees to its record; never rejects. */
  readonly send: (message: OutboxMessage) => Promise<void>;
  /** Gives back what could not be sent in time, or may not be now. */
  readonly giveBack: (messages: readonly OutboxMessage[]) => void;
  /** A lane that was filled has room again: there may be more for it. */
  readonly onRoom: () => void;
}

interface Queued {
  readonly message: OutboxMessage;
  readonly sendBefore: number;
}

interface Lane {
  readonly type: string;
  queue: Queued[];
  sending: number;
  /** What the look under way may bring. */
  asked: number;
  /** Whether the last look brought as many. */
  isFull: boolean;
}

/** Makes the lanes of one relay. */
export function createLanes({ concurrency, mostOf, mayBegin, send, giveBack, onRoom }: LanesOptions): Lanes {
  // more wait their turn, so that no place is empty while the next are being claimed, and one claim brings many
  const capacity = 8 * concurrency;
  const lanes = new Map<string, Lane>();
  const underWay = new Set<Promise<void>>();
  let isStopped = false;
  const roomIn = ({ queue, sending }: Lane): number => capacity - queue.length - sending;
  const laneOf = (type: string): Lane =>
    lanes.get(type) ?? { type, queue: [], sending: 0, asked: capacity, isFull: false };

  const pump = (lane: Lane): void => {
    const unsent: OutboxMessage[] = [];
    while (!isStopped && lane.sending < concurrency && lane.queue.length > 0) {
      const { message, sendBefore } = lane.queue.shift()!;
      // its participant is slow, or this process has stood still: another relay may take it at any moment
      if (Date.now() > sendBefore) {
        unsent.push(message);
        continue;
      }
      if (!mayBegin(lane.type)) {
        unsent.push(message, ...emptied(lane));
        break;
      }
      lane.sending += 1;
      const sent = send(message).finally(() => {
        lane.sending -= 1;
        underWay.delete(sent);
        pump(lane);
      });
      underWay.add(sent);
    }
    if (unsent.length > 0) giveBack(unsent);
    if (!lane.isFull || roomIn(lane) < capacity / 2) return;
    lane.isFull = false;
    onRoom();
  };

  return {
    otherwise: capacity,
    room: () => {
      for (const lane of lanes.values()) lane.asked = Math.min(roomIn(lane), mostOf(lane.type));
      return new Map([...lanes].map(([type, { asked }]) => [type, asked]));
    },
    take: (messages, sendBefore) => {
      for (const type of new Set(messages.map((message) => message.type))) {
        const found = messages.filter((message) => message.type === type);
        const lane = laneOf(type);
        lanes.set(type, lane);
        lane.isFull = found.length >= lane.asked;
        lane.queue.push(...found.filter(({ isQueued }) => !isQueued).map((message) => ({ message, sendBefore })));
        pump(lane);
      }
    },
    stop: () => {
      isStopped = true;
      return Promise.all(underWay);
    },
    unsent: () => [...lanes.values()].flatMap(({ queue }) => queue.map(({ message }) => message)),
  };
}

/** All that is queued: none of it is claimed again before its participant may be sent to. */
function emptied({ queue }: Lane): OutboxMessage[] {
  return queue.splice(0).map(({ message }) => message);
}
