import type pg from 'pg';
import { attributesOf, encodeCloudEvent } from '../../src/brokers/cloud-event.js';
import type { BrokerMessage } from '../../src/brokers/broker.js';
import { decodeReply } from '../../src/brokers/reply.js';
import { migrateParticipants, seedParticipants, startParticipants } from '../../src/samples/participants.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { createMemoryServer } from '../support/memory-broker.js';
import { headersFor } from '../support/notes-server.js';
import { freshSagaId, messageFor } from '../support/participant-kit.js';
import { openPool } from '../support/pools.js';

const inventory = useDatabase('inventory');
const accounts = useDatabase('accounts');
const profiles = useDatabase('profiles');
let pool: pg.Pool;

beforeAll(() => {
  pool = openPool(inventory.url);
});

afterAll(() => pool?.end());

const payload = { orderId: 'o-1', items: [{ sku: 'book', quantity: 2 }] };

function deductionOf(sagaId: string): BrokerMessage {
  const message = messageFor({ sagaId, step: 'stock', type: 'inventory.deduct', payload });
  const attributes = attributesOf({ ...message, replyTo: { address: 'replies', token: 't' } });
  return encodeCloudEvent({ attributes, data: payload });
}

test('a sample participant handles the same message over a broker and over HTTP, once', async () => {
  const urls = {
    inventoryDatabaseUrl: inventory.url,
    accountsDatabaseUrl: accounts.url,
    profilesDatabaseUrl: profiles.url,
  };
  await migrateParticipants(urls);
  await seedParticipants(urls);
  const server = createMemoryServer();
  const sender = server.connect();
  for (const name of ['inventory', 'replies']) await sender.declare({ name });
  const participants = await startParticipants({
    ...{ ...urls, host: '127.0.0.1', inventoryPort: 0, accountsPort: 0, profilesPort: 0 },
    consumers: [{ participant: 'inventory', transport: server.connect(), from: ['inventory'] }],
  });
  try {
    const sagaId = freshSagaId();
    await sender.publish(deductionOf(sagaId), { to: 'inventory', timeoutMs: 30_000 });
    await eventually(() => expect(server.stored('replies')).toHaveLength(1));
    const key = `${sagaId}/stock/do`;
    const reply = decodeReply(server.stored('replies')[0]!, (body) => JSON.parse(body.toString()) as unknown);
    expect(reply).toMatchObject({ effectKey: key, outcome: { kind: 'done', result: { reservationId: key } } });
    const response = await fetch(`${participants.urls.inventory}/messages/inventory.deduct`, {
      ...{ method: 'POST', headers: headersFor(key, 'inventory.deduct'), body: JSON.stringify(payload) },
    });
    expect([response.status, await response.json()]).toEqual([200, { reservationId: key }]);
    const { rows } = await pool.query(`select on_hand as "onHand" from inventory.stock where sku = 'book'`);
    expect(rows).toEqual([{ onHand: 999_998 }]);
    const metrics = await (await fetch(`${participants.urls.inventory}/metrics`)).text();
    expect(metrics).toContain(
      'settle_consumer_messages_total{from="inventory",outcome="applied",consumer="inventory"} 1',
    );
  } finally {
    await participants.stop();
  }
  expect(server.left('inventory', 'inventory')).toBe(0);
});
