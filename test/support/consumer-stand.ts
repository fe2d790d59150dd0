import type pg from 'pg';
import type { Consumer, ConsumeOptions } from '../../src/participant/index.js';
import { consumeNotes, noteHandlers, openOffice, type Office } from './consumers.js';
import { useDatabase } from './databases.js';
import { eventually } from './eventually.js';
import type { MemoryClient } from './memory-broker.js';
import { openNotes } from './participant-kit.js';

/** What the tests of consumers share: a database with notes, and a broker of each test's own. */
export interface ConsumerStand {
  readonly databaseUrl: string;
  readonly pool: pg.Pool;
  readonly office: Office;
  /** Consumes until the test is over. */
  start(options?: Partial<ConsumeOptions> & { readonly transport?: MemoryClient }): Promise<Consumer>;
  /** Waits until every message is acknowledged. */
  untilDone(): Promise<void>;
  /** How often a message has been begun and has failed, by revision. */
  attemptsOf(sagaId: string): Promise<readonly (readonly [number, number])[]>;
}

/** An amount of 666 is a fault, every time. */
export const poisonHandlers = noteHandlers((amount) => {
  if (amount === 666) throw new Error('no such page');
});

/** Makes them, and ends with each test what it has started. */
export function useConsumers(): ConsumerStand {
  const database = useDatabase('inventory');
  let pool: pg.Pool;
  let office: Office;
  const running: Consumer[] = [];
  beforeAll(async () => {
    pool = await openNotes(database.url);
  });
  beforeEach(async () => {
    office = await openOffice();
    await pool.query('delete from notes.delivery_attempt');
  });
  afterEach(() => Promise.all(running.splice(0).map((consumer) => consumer.stop())));
  afterAll(() => pool?.end());
  return {
    get databaseUrl() {
      return database.url;
    },
    get pool() {
      return pool;
    },
    get office() {
      return office;
    },
    start: async (options) => {
      const consumer = consumeNotes({ transport: office.connect(), databaseUrl: database.url, ...options });
      running.push(consumer);
      await consumer.ready;
      return consumer;
    },
    untilDone: () => eventually(() => expect(office.left()).toBe(0), { timeoutMs: 60_000 }),
    attemptsOf: async (sagaId) => {
      const { rows } = await pool.query<{ revision: number; attempts: number }>(
        'select revision, attempts from notes.delivery_attempt where effect_key = $1 order by 1',
        [`${sagaId}/note/do`],
      );
      return rows.map(({ revision, attempts }) => [revision, attempts]);
    },
  };
}
