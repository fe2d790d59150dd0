import { randomUUID } from 'node:crypto';
import { connect } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { GOOD_ORDER, postOrder, useTestApi } from '../support/api.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';

const database = useDatabase('producer');
const api = useTestApi(database);

/** A client that sends a whole request and has gone before it is answered. */
async function leave(): Promise<void> {
  const socket = connect(Number(new URL(api.url).port), '127.0.0.1');
  socket.on('error', () => undefined);
  await new Promise((resolve) => socket.once('connect', resolve));
  const body = JSON.stringify(GOOD_ORDER);
  const head = [
    ...['POST /v1/orders HTTP/1.1', 'host: x', 'content-type: application/json'],
    ...[`idempotency-key: ${randomUUID()}`, `content-length: ${body.length}`],
  ];
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`);
  await pause(1_000);
  socket.destroy();
}

test('clients that have gone before their answer hold no place in the process', async () => {
  const lock = await api.pool.connect();
  await lock.query('begin');
  await lock.query('lock table settle.idempotency_key in access exclusive mode');
  await Promise.all(Array.from({ length: 520 }, leave));
  await lock.query('rollback');
  lock.release();
  await eventually(async () => {
    // what was accepted all the same is not what refuses
    await api.pool.query(`update settle.saga set state = 'running'`);
    expect((await postOrder(api.url)).status).toBe(202);
  });
});
