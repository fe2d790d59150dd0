import pg from 'pg';
import type { BrokerName } from '../../src/brokers/broker.js';
import { openBroker } from '../../src/brokers/open-broker.js';
import { startBroker, type BrokerServer, type PreparedDestination } from '../../src/dev/brokers/brokers.js';
import { deadLettersOf } from '../../src/participant/index.js';
import { replyAddressOf } from '../../src/saga/envelope.js';
import { startFar, type Far } from './far.js';
import { note } from './far-notes.js';
import type { Places } from './far-side.js';
import { INSTALLATION, startNear } from './near.js';
import { openHttpYardstick, openYardstick, type Yardstick } from './yardstick.js';

/** One transport from end to end: Settle and a participant, and the yardstick beside them. */
export interface Line {
  readonly name: 'http' | BrokerName;
  /** Of Settle's database. */
  readonly near: pg.Pool;
  /** Of the participant's database. */
  readonly books: pg.Pool;
  readonly far: Far;
  readonly yardstick: Yardstick;
  close(): Promise<void>;
}

export interface LineOptions {
  readonly urls: { readonly near: string; readonly far: string };
  readonly dataDir: string;
  readonly cacheDir: string;
  readonly onSpawn: (pid: number) => void;
}

const PLACES: Places = {
  notes: 'bench-notes',
  oneWay: 'bench-one-way',
  asked: 'bench-asked',
  answers: 'bench-answers',
};

/** Opens it over a broker of its own, which ends with it. */
export async function openLine(name: 'http' | BrokerName, { urls, ...options }: LineOptions): Promise<Line> {
  const server = name === 'http' ? undefined : await startBroker(name, options);
  const closing: (() => Promise<unknown>)[] = [() => server?.stop() ?? Promise.resolve()];
  const close = async (): Promise<void> => {
    for (const each of closing.toReversed()) await each();
  };
  try {
    if (server) await prepare(server);
    const far = await startFar({ databaseUrl: urls.far, places: PLACES, broker: server && urlOf(server) });
    closing.push(() => far.stop());
    const yardstick = server
      ? await openYardstick(far, { ...urlOf(server), places: PLACES })
      : openHttpYardstick(far, PLACES);
    closing.push(() => yardstick.close());
    const near = await startNear({
      databaseUrl: urls.near,
      routes: {
        [note.type]: server
          ? { transport: server.name, to: PLACES.notes }
          : { transport: 'http', url: `${far.url}/messages/${note.type}` },
      },
      brokers: server ? { [server.name]: server.url } : {},
    });
    closing.push(() => near.stop());
    // of our own, and patient: it is not to fail where Settle is only slow
    const pools = [urls.near, urls.far].map((connectionString) => new pg.Pool({ connectionString }));
    closing.push(() => Promise.all(pools.map((pool) => pool.end())));
    const [sender, books] = pools as [pg.Pool, pg.Pool];
    return { name, near: sender, books, far, yardstick, close };
  } catch (error) {
    await close();
    throw error;
  }
}

function urlOf({ name, url }: BrokerServer): { readonly name: BrokerName; readonly url: string } {
  return { name, url };
}

/** Makes every destination as Settle does, those of the yardstick too: it is to write to the same kind of queue. */
async function prepare(server: BrokerServer): Promise<void> {
  const replies = replyAddressOf(INSTALLATION);
  const { notes, ...bare } = PLACES;
  const destinations: readonly PreparedDestination[] = [
    // a participant consumes as a group of its own name
    { name: notes, groups: ['bench'] },
    { name: deadLettersOf(notes, server.name), groups: [] },
    ...[replies, ...Object.values(bare)].map((name) => ({ name, groups: [name] })),
  ];
  await server.prepare(destinations);
  const broker = await openBroker(server.name, server.url);
  try {
    await Promise.all(destinations.map(({ name }) => broker.declare({ name })));
  } finally {
    await broker.close();
  }
}
