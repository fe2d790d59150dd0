import {
  BrokerError,
  type Broker,
  type BrokerMessage,
  type Consumption,
  type IncomingMessage,
  type PublishOptions,
  type Subscription,
} from '../../src/brokers/broker.js';

/**
 * A broker in this process's memory that keeps what the port promises: every group sees every message of a destination, what is not
 * acknowledged comes again and says so, never more than `prefetch` are out, ordered groups have one message of a key out at a time.
 * Clients connect to it and may lose their connection or crash, as they would with a server.
 */
export interface MemoryServer {
  /** A client of its own, as a process would have. */
  connect(options?: MemoryClientOptions): MemoryClient;
  /** Everything ever stored under a name, oldest first. */
  stored(name: string): readonly BrokerMessage[];
  /** How many messages a group has not acknowledged: waiting or out. */
  left(name: string, group: string): number;
  /** Of these, how many are out. */
  out(name: string, group: string): number;
}

export interface MemoryClientOptions {
  /** @default 'rabbitmq' */
  readonly name?: Broker['name'];
  /** Asked before a message is stored; what it throws is what the publisher gets, and nothing is stored. */
  readonly beforeStore?: (message: BrokerMessage, options: PublishOptions) => void;
  /** Asked once it is stored and before that is confirmed; what it throws is what the publisher gets all the same. */
  readonly beforeConfirm?: (message: BrokerMessage, options: PublishOptions) => void | Promise<void>;
  /** Asked before an acknowledgement is sent; what it throws loses the connection with it. */
  readonly beforeAcknowledge?: (message: IncomingMessage) => void;
}

/** A broker whose connection a test may break. */
export interface MemoryClient extends Broker {
  /** Loses the connection and has it back at once: what is out comes again, what is acknowledged later counts for nothing. */
  disconnect(): void;
  /** Ends as a killed process does: gives back what is out, handles nothing more, acknowledges nothing more. */
  crash(): void;
}

interface Entry {
  readonly message: BrokerMessage;
  readonly position: number;
  /** Given to a consumer before. */
  wasOut: boolean;
}

/** One group's view of a destination. */
interface Group {
  readonly name: string;
  /** In order of publication; what comes back goes to its old place. */
  waiting: Entry[];
  readonly out: Map<Entry, Consumer>;
  readonly consumers: Set<Consumer>;
}

interface Consumer {
  readonly subscription: Subscription;
  readonly options: MemoryClientOptions;
  readonly handling: Set<Promise<void>>;
}

interface Destination {
  readonly log: Entry[];
  readonly groups: Map<string, Group>;
}

const MAX_BYTES = 1024 * 1024;

/** A server with nothing in it. */
export function createMemoryServer(): MemoryServer {
  const destinations = new Map<string, Destination>();
  return {
    connect: (options = {}) => connect(destinations, options),
    stored: (name) => destinations.get(name)?.log.map(({ message }) => message) ?? [],
    left: (name, group) => {
      const { waiting = [], out } = destinations.get(name)?.groups.get(group) ?? {};
      return waiting.length + (out?.size ?? 0);
    },
    out: (name, group) => destinations.get(name)?.groups.get(group)?.out.size ?? 0,
  };
}

function connect(destinations: Map<string, Destination>, options: MemoryClientOptions): MemoryClient {
  const consumptions = new Map<Consumer, { readonly group: Group; readonly consumption: Consumption }>();
  let isOpen = true;
  const giveBack = (): void => {
    for (const [consumer, { group }] of consumptions) returnAll(group, consumer);
  };
  return {
    name: options.name ?? 'rabbitmq',
    attributePrefix: 'cloudEvents:',
    maxBytes: MAX_BYTES,
    publish: async (message, publishing) => {
      if (!isOpen) throw new BrokerError('unavailable', `'${message.id}' for '${publishing.to}': the client is closed`);
      await Promise.resolve();
      store(destinations, { message, publishing, options });
      await options.beforeConfirm?.(message, publishing);
    },
    declare: ({ name }) => {
      if (!destinations.has(name)) destinations.set(name, { log: [], groups: new Map() });
      return Promise.resolve();
    },
    subscribe: (subscription) => {
      const group = groupOf(destinations, subscription);
      const consumer: Consumer = { subscription, options, handling: new Set() };
      const consumption = consume(group, consumer);
      consumptions.set(consumer, { group, consumption });
      return consumption;
    },
    close: async () => {
      await Promise.all([...consumptions.values()].map(({ consumption }) => consumption.stop()));
      isOpen = false;
    },
    disconnect: giveBack,
    crash: () => {
      isOpen = false;
      for (const [consumer, { group }] of consumptions) group.consumers.delete(consumer);
      giveBack();
    },
  };
}

interface Storing {
  readonly message: BrokerMessage;
  readonly publishing: PublishOptions;
  readonly options: MemoryClientOptions;
}

function store(destinations: Map<string, Destination>, { message, publishing, options }: Storing): void {
  const { to } = publishing;
  options.beforeStore?.(message, publishing);
  const destination = destinations.get(to);
  if (!destination) throw new BrokerError('unroutable', `'${message.id}': there is no destination '${to}'`);
  if (sizeOf(message) > MAX_BYTES) throw new BrokerError('too-large', `'${message.id}' is too large for '${to}'`);
  const copy: BrokerMessage = { ...message, headers: { ...message.headers }, body: Buffer.from(message.body) };
  const position = destination.log.length;
  destination.log.push({ message: copy, position, wasOut: false });
  for (const group of destination.groups.values()) {
    group.waiting.push({ message: copy, position, wasOut: false });
    deliver(group);
  }
}

function sizeOf({ headers, body }: BrokerMessage): number {
  return Object.entries(headers).reduce((sum, [name, value]) => sum + name.length + value.length, body.length);
}

function groupOf(destinations: Map<string, Destination>, { from, group }: Subscription): Group {
  const destination = destinations.get(from);
  if (!destination) throw new BrokerError('unroutable', `there is no destination '${from}' to consume from`);
  const known = destination.groups.get(group);
  if (known) return known;
  const waiting = destination.log.map((entry) => ({ ...entry }));
  const created: Group = { name: group, waiting, out: new Map(), consumers: new Set() };
  destination.groups.set(group, created);
  return created;
}

function consume(group: Group, consumer: Consumer): Consumption {
  group.consumers.add(consumer);
  // as a server would: not before the caller has its consumption
  queueMicrotask(() => deliver(group));
  return {
    ready: Promise.resolve(),
    stop: async () => {
      group.consumers.delete(consumer);
      await Promise.all(consumer.handling);
      returnAll(group, consumer);
    },
  };
}

/** Hands out as much as may be out. */
function deliver(group: Group): void {
  for (const consumer of group.consumers) {
    const { prefetch = 64, ordered = false } = consumer.subscription;
    const mayGo = ({ message: { key } }: Entry): boolean =>
      !ordered || key === undefined || ![...group.out.keys()].some((other) => other.message.key === key);
    while ([...group.out.values()].filter((other) => other === consumer).length < prefetch) {
      const entry = group.waiting.find(mayGo);
      if (!entry) break;
      group.waiting.splice(group.waiting.indexOf(entry), 1);
      group.out.set(entry, consumer);
      const handling = hand(group, { consumer, entry });
      consumer.handling.add(handling);
      void handling.finally(() => consumer.handling.delete(handling));
    }
  }
}

interface Handing {
  readonly consumer: Consumer;
  readonly entry: Entry;
}

async function hand(group: Group, { consumer, entry }: Handing): Promise<void> {
  const { handle, onTrouble, from } = consumer.subscription;
  const message: IncomingMessage = { ...entry.message, from, isRedelivered: entry.wasOut };
  entry.wasOut = true;
  try {
    // never inside the call that published it
    await Promise.resolve();
    await handle(message);
    // it may have gone back meanwhile: then this acknowledgement is of a connection that is no more
    if (group.out.get(entry) !== consumer) return;
    consumer.options.beforeAcknowledge?.(message);
    group.out.delete(entry);
  } catch (error) {
    onTrouble(error as Error);
    putBack(group, { consumer, entry });
  }
  deliver(group);
}

function returnAll(group: Group, consumer: Consumer): void {
  for (const [entry, owner] of [...group.out]) if (owner === consumer) putBack(group, { consumer, entry });
  deliver(group);
}

/** To its place among those that wait, as a new delivery: one that still runs belongs to what is over. */
function putBack(group: Group, { consumer, entry }: Handing): void {
  if (group.out.get(entry) !== consumer) return;
  group.out.delete(entry);
  const again: Entry = { ...entry, wasOut: true };
  const place = group.waiting.findIndex(({ position }) => position > entry.position);
  group.waiting.splice(place === -1 ? group.waiting.length : place, 0, again);
}
