import type pg from 'pg';
import { createPool } from '../../src/db/pool.js';
import { acceptSaga, recordState, settleSaga } from '../../src/db/saga-store.js';
import { FencedError } from '../../src/saga/errors.js';
import { useDatabase } from '../support/databases.js';
import { newSaga } from '../support/sagas.js';

const database = useDatabase('producer');
let pool: pg.Pool;

beforeAll(() => {
  pool = createPool(database.url, { max: 4 });
});
afterAll(() => pool.end());

const reason = { code: 'cancelled-by-client', message: 'no longer wanted' };

async function stateOf(id: string): Promise<unknown> {
  const { rows } = await pool.query<{ state: string }>('select state from settle.saga where id = $1', [id]);
  return rows[0]?.state;
}

test('promise 7: a workflow started anew cannot complete a saga that has decided to compensate', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  await recordState(pool, { sagaId: id, state: 'compensating', reason });
  await expect(settleSaga(pool, { sagaId: id, outcome: 'completed' })).rejects.toMatchObject({ reason });
  expect(await stateOf(id)).toBe('compensating');
  await settleSaga(pool, { sagaId: id, outcome: 'compensated', reason });
  expect(await stateOf(id)).toBe('compensated');
});

test('promise 1: the outcome that was settled first stands, and who settles otherwise is told', async () => {
  const { id } = await acceptSaga(pool, newSaga());
  await settleSaga(pool, { sagaId: id, outcome: 'completed' });
  await settleSaga(pool, { sagaId: id, outcome: 'completed' });
  await expect(settleSaga(pool, { sagaId: id, outcome: 'compensated', reason })).rejects.toBeInstanceOf(FencedError);
  expect(await stateOf(id)).toBe('completed');
});
