/** A broker's own client library, used as its manual shows: what Settle's adapters are compared with. */
export interface BareClient {
  /** Resolves once the broker has confirmed this one message. */
  send(to: string, id: string, body: Buffer): Promise<void>;
  /** Begins to consume, `concurrency` messages at a time; each is acknowledged once it has been handled. */
  consume(from: string, handle: (body: Buffer) => Promise<void>): Promise<void>;
  /** Ends it while nothing is under way. */
  close(): Promise<void>;
}

/** Messages that a yardstick has under way, sending and consuming. */
export const CONCURRENCY = 64;
