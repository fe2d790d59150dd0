/**
 * Keeps what it is given until a consumer has dealt with it. One adapter a file; users may write their own.
 * Both sides use it: the producer's transport publishes messages and consumes replies, a participant the reverse.
 *
 * What every broker promises: what `publish` resolves for is stored as durably as the broker is set up to, what a consumer has not
 * acknowledged comes again (perhaps twice), and lost connections are opened anew with back-off for as long as it is not closed.
 */
export interface Broker {
  /** As routes and settings write it. */
  readonly name: BrokerName;
  /** What is put in front of a CloudEvents attribute in binary mode; undefined where no binding defines one. */
  readonly attributePrefix?: string;
  /** What it takes at the most, body and headers together, in bytes, unless a route says otherwise. */
  readonly maxBytes: number;
  /**
   * Hands a message over, and resolves once the broker has it durably.
   *
   * @throws BrokerError that names message and destination; `unroutable`, `full`, `unavailable` or `timeout`: perhaps stored all the same
   *   where it is a time-out or a lost connection
   */
  publish(message: BrokerMessage, options: PublishOptions): Promise<void>;
  /**
   * Makes a destination where it is missing and the broker lets its clients, so that what is published there is kept from now on.
   *
   * @throws BrokerError
   */
  declare(destination: Destination): Promise<void>;
  /** Begins to consume; lost connections are its own affair, told to `onTrouble`. */
  subscribe(subscription: Subscription): Consumption;
  /** Begins to send half messages (半消息) to a destination and to answer check-backs (回查) for it; absent where the broker knows none. */
  openHalfMessages?(options: BrokerHalvesOptions): BrokerHalves;
  /** Finishes what is being published, ends what is being consumed, closes every connection. */
  close(): Promise<void>;
}

/** What a producer says of a half message that lies with a broker: deliver it, drop it, ask again. */
export type HalfDecision = 'commit' | 'rollback' | 'unknown';

export interface BrokerHalvesOptions {
  readonly to: string;
  /** Asked for each once it is stored, and by each check-back. What it throws counts as `unknown`. */
  readonly decide: (id: string) => Promise<HalfDecision>;
  readonly onTrouble: (error: Error) => void;
}

/** Half messages of one destination. */
export interface BrokerHalves {
  /**
   * Stores a message that nobody gets, asks `decide`, and passes that on.
   *
   * @throws BrokerError when it was not stored
   */
  publish(message: BrokerMessage, options: { readonly timeoutMs: number }): Promise<HalfDecision>;
  /** Finishes what is being sent and answered. */
  stop(): Promise<void>;
}

/** The brokers that Settle speaks to. */
export const BROKER_NAMES = ['rabbitmq', 'kafka', 'rocketmq', 'redis'] as const;
export type BrokerName = (typeof BROKER_NAMES)[number];

/** A message as brokers carry it. */
export interface BrokerMessage {
  /** Names it in errors and logs, and travels with it where the broker has a place for it. */
  readonly id: string;
  /** Messages of one key keep their order where the destination is ordered, and lie in one partition where it has several. */
  readonly key?: string;
  /** Media type of the body, e.g. `application/cloudevents+json`. */
  readonly contentType: string;
  /** Beside the body, as text: CloudEvents attributes in binary mode, why a message is dead. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export interface PublishOptions {
  /** Queue, topic or stream. */
  readonly to: string;
  /** Until the broker has confirmed it, in ms. */
  readonly timeoutMs: number;
  /** Whether consumers must see messages of one key in the order in which they were published. @default false */
  readonly ordered?: boolean;
}

/** A queue, topic or stream. */
export interface Destination {
  readonly name: string;
  /** Whether the messages of one key are handled one after the other, over all consumers of a group. @default false */
  readonly ordered?: boolean;
}

/** A message that has come. */
export interface IncomingMessage extends BrokerMessage {
  /** Where it came from. */
  readonly from: string;
  /** Whether somebody may have begun to handle it before: a repetition is told from a first delivery where the broker can tell, else true. */
  readonly isRedelivered: boolean;
}

/** What is to be consumed, and how. */
export interface Subscription {
  readonly from: string;
  /** Consumers of one group share the messages: each goes to one of them. */
  readonly group: string;
  /** Given to `handle` and not yet acknowledged, at the most. @default 64 */
  readonly prefetch?: number;
  /** As in {@link Destination}. @default false */
  readonly ordered?: boolean;
  /**
   * Called as messages come, many at a time. Once it resolves the message is acknowledged, and never before; when it rejects, the message
   * goes back to the broker and comes again, to this consumer or another.
   */
  readonly handle: (message: IncomingMessage) => Promise<void>;
  /** Told of what does not end it: a lost connection, an acknowledgement that failed. */
  readonly onTrouble: (error: Error) => void;
}

/** A subscription that runs. */
export interface Consumption {
  /** Resolves once messages can come: the broker knows of this consumer. */
  readonly ready: Promise<void>;
  /**
   * Takes nothing new, waits for what is being handled and acknowledges it; what was not begun goes back. RocketMQ cannot be told that
   * nothing is wanted any more: what it gives to the call that is open, for 5 s at the most, is handled too.
   */
  stop(): Promise<void>;
}

/** Why a broker did not take a message. */
export type BrokerErrorKind =
  /** Nothing keeps what is sent there. Definitely not stored. */
  | 'unroutable'
  /** Larger than the broker takes. Definitely not stored, and no retry helps. */
  | 'too-large'
  /** It has no room, or has been told to take nothing. Definitely not stored. */
  | 'full'
  /** It cannot be reached, or the connection broke. Perhaps stored. */
  | 'unavailable'
  /** No confirmation in time. Perhaps stored. */
  | 'timeout';

/** Thrown when a broker has not confirmed a message, or cannot do what it was asked for. */
export class BrokerError extends Error {
  override readonly name = 'BrokerError';
  constructor(
    readonly kind: BrokerErrorKind,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}
