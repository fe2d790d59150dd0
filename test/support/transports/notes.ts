import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { json } from 'node:stream/consumers';
import { openBroker } from '../../../src/brokers/open-broker.js';
import { decodeCloudEvent } from '../../../src/brokers/cloud-event.js';
import type { IncomingMessage } from '../../../src/brokers/broker.js';
import type { TestBroker } from './test-broker.js';

/** A note: the nth of a key. */
export interface Note {
  readonly key: string;
  readonly n: number;
}

/** Whoever reads notes, and what has come in the order in which it was begun. */
export interface NoteReaders {
  readonly notes: readonly Note[];
  /** How many readers have had some. */
  readonly readers: () => number;
  /** Where notes go over HTTP. */
  readonly url?: string;
  stop(): Promise<void>;
}

/** Reads notes over HTTP. */
export async function readNotesOverHttp(): Promise<NoteReaders> {
  const notes: Note[] = [];
  const server = createServer((request, response) => {
    void json(request).then((note) => {
      notes.push(note as Note);
      response.setHeader('content-type', 'application/json').end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    notes,
    readers: () => 1,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/messages/contract.note`,
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Of its own: RocketMQ keeps for each group whether it is ordered. */
const GROUP = 'contract-notes';

/** Two consumers of one group, each on a connection of its own, who keep the order of each key. */
export async function readNotes({ name, url, prepare }: TestBroker, from: string): Promise<NoteReaders> {
  await prepare([{ name: from, groups: [GROUP], ordered: true }]);
  const notes: Note[] = [];
  const busy = new Set<number>();
  const brokers = await Promise.all([openBroker(name, url), openBroker(name, url)]);
  await brokers[0]!.declare({ name: from, ordered: true });
  const readers = brokers.map((broker, reader) =>
    broker.subscribe({
      ...{ from, group: GROUP, ordered: true, onTrouble: () => undefined },
      handle: (message) => {
        notes.push(noteOf(message, broker.attributePrefix));
        busy.add(reader);
        return Promise.resolve();
      },
    }),
  );
  await Promise.all(readers.map(({ ready }) => ready));
  return {
    notes,
    readers: () => busy.size,
    stop: async () => {
      await Promise.all(readers.map((each) => each.stop()));
      await Promise.all(brokers.map((each) => each.close()));
    },
  };
}

function noteOf(message: IncomingMessage, prefix: string | undefined): Note {
  const event = decodeCloudEvent(message, { prefix, parse: (body) => JSON.parse(body.toString('utf8')) as unknown });
  return event!.data as Note;
}
