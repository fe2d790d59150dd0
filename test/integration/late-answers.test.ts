import type pg from 'pg';
import { obtain } from '../../activities/obtain.js';
import type { Obtained } from '../../activities/obtained.js';
import type { ReplyOutcome } from '../../src/brokers/reply.js';
import { acceptSaga } from '../../src/db/saga-store.js';
import { routesOver, startSender, type Sender } from '../support/broker-parts.js';
import { useDatabase } from '../support/databases.js';
import { createMemoryServer } from '../support/memory-broker.js';
import { newSaga } from '../support/sagas.js';

const DONE: ReplyOutcome = { kind: 'done', result: { reservationId: 'r-1' } };
const TYPE = 'inventory.deduct';

const database = useDatabase('producer');
const senders: Sender[] = [];

afterEach(async () => {
  await Promise.all(senders.splice(0).map((sender) => sender.stop()));
});

describe('an answer that comes while its sender notes that there was none', () => {
  const begin = async (
    fail: (queries: number) => void,
  ): Promise<{ obtaining: Promise<Obtained>; taken: () => unknown }> => {
    const server = createMemoryServer();
    await server.connect().declare({ name: 'inventory' });
    const one = await startSender(database.url, server, { routes: routesOver([TYPE]) });
    senders.push(one);
    const { id } = await acceptSaga(one.pool, newSaga());
    const envelope = {
      ...{ messageId: id, source: '/test', type: TYPE, time: new Date().toISOString(), sagaId: id },
      ...{ tenantId: 'default', effectKey: `${id}/stock/do`, revision: 0, payload: {} },
    };
    const reply = { id: 'a-1', source: '/inventory', effectKey: envelope.effectKey, revision: 0, token: '' };
    let queries = 0;
    let taken: Promise<boolean> | undefined;
    const query = (config: pg.QueryConfig): Promise<unknown> => {
      taken ??= one.desk.hand({ ...reply, outcome: DONE });
      fail((queries += 1));
      return one.pool.query(config);
    };
    const pool = { query } as unknown as pg.Pool;
    const obtaining = obtain({ ...one, pool }, { envelope, timeoutMs: 500, patienceMs: 60_000 });
    return { obtaining, taken: () => taken };
  };

  test('is taken', async () => {
    const { obtaining, taken } = await begin(() => undefined);
    const { answer: came, onRecorded } = await obtaining;
    expect(came).toEqual(DONE);
    onRecorded(true);
    expect(await taken()).toBe(true);
  });

  test('comes again where the ledger cannot be told that it is here', async () => {
    const { obtaining, taken } = await begin((queries) => {
      if (queries > 1) throw new Error('the ledger is away');
    });
    await expect(obtaining).rejects.toThrow('the ledger is away');
    expect(await taken()).toBe(false);
  });
});
