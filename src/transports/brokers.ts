import type { Broker, BrokerName } from '../brokers/broker.js';
import { openBroker, type BrokerUrls } from '../brokers/open-broker.js';

/** The brokers of this process: each is opened when it is first needed, and shared by all that send and consume. */
export interface Brokers {
  /** @throws Error when how to reach it is not set, or malformed; nothing is connected yet */
  open(name: BrokerName): Promise<Broker>;
  /** Finishes what is being published, closes every connection. */
  close(): Promise<void>;
}

/**
 * Makes the brokers of a process.
 *
 * @param open makes a client; a test's own for a broker without a network
 */
export function createBrokers(urls: BrokerUrls, open: typeof openBroker = openBroker): Brokers {
  const opened = new Map<BrokerName, Promise<Broker>>();
  return {
    open: (name) => {
      const known = opened.get(name);
      if (known) return known;
      const url = urls[name];
      if (url === undefined) return Promise.reject(new Error(`how to reach '${name}' is not set; see src/settings.md`));
      const broker = open(name, url);
      opened.set(name, broker);
      // a later message tries again
      broker.catch(() => opened.delete(name));
      return broker;
    },
    close: async () => {
      const closing = [...opened.values()].map(async (opening) => (await opening.catch(() => undefined))?.close());
      await Promise.all(closing);
    },
  };
}
