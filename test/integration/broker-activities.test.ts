import { randomUUID } from 'node:crypto';
import { NativeConnection, Worker } from '@temporalio/worker';
import type { Client, WorkflowHandle } from '@temporalio/client';
import type pg from 'pg';
import { createHalfMessageActivities } from '../../activities/half-message-activities.js';
import { createOutboxActivities } from '../../activities/outbox-activities.js';
import { withQuickAttempts } from '../../activities/quick-attempts.js';
import { createClient } from '../../src/api/temporal.js';
import type { ReplyOutcome } from '../../src/brokers/reply.js';
import { createCheckBackClient, type CheckBackClient } from '../../src/transports/check-back.js';
import type { outboxMessage } from '../../workflows/outbox.js';
import {
  routesOver,
  startBrokerParticipant,
  startSender,
  type BrokerParticipant,
  type SeenEvent,
  type Sender,
} from '../support/broker-parts.js';
import { useDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { createMemoryServer, type MemoryServer } from '../support/memory-broker.js';
import { bundleSources, quietRuntime } from '../support/workflow-bundle.js';

const DONE: ReplyOutcome = { kind: 'done', result: null };
const database = useDatabase('producer');
const taskQueue = randomUUID();
let connection: NativeConnection;
let client: Client;
let checkBackClient: CheckBackClient;
let server: MemoryServer;
let participant: BrokerParticipant;
let answer: (event: SeenEvent) => ReplyOutcome | undefined = () => undefined;
let sending: Sender;
let worker: Worker;
let running: Promise<void>;

beforeAll(async () => {
  quietRuntime();
  const address = process.env.SETTLE_TEST_TEMPORAL_ADDRESS!;
  connection = await NativeConnection.connect({ address });
  client = createClient(connection, { address, namespace: 'default', taskQueue, uiUrl: '' });
  checkBackClient = createCheckBackClient();
  server = createMemoryServer();
  participant = await startBrokerParticipant(server, (event) => answer(event));
  sending = await newSender();
  const activities = {
    ...createHalfMessageActivities({ ...sending, checkBackClient }),
    ...createOutboxActivities({ pool: sending.pool }),
  };
  worker = await Worker.create({
    ...{ connection, taskQueue, workflowBundle: await bundleSources() },
    activities: { ...withQuickAttempts(activities) },
    // whoever held its only place while it waits would let no other begin
    maxConcurrentActivityTaskExecutions: 1,
  });
  running = worker.run();
});
afterAll(async () => {
  worker.shutdown();
  await running;
  await sending.stop();
  await participant.stop();
  await checkBackClient.close();
  await connection.close();
});
beforeEach(() => {
  answer = () => undefined;
  participant.seen.length = 0;
});

function newSender(): Promise<Sender> {
  return startSender(database.url, server, {
    routes: routesOver(['notes.write']),
    completion: client.activity,
  });
}

async function begin(pool: pg.Pool): Promise<{ id: string; handle: WorkflowHandle<typeof outboxMessage> }> {
  const { rows } = await pool.query<{ id: string }>(`select settle.send('notes.write', '{"amount": 5}') as id`);
  const id = rows[0]!.id;
  await pool.query(`update settle.message_log set in_workflow = true where effect_key like $1 || '/%'`, [id]);
  const args: Parameters<typeof outboxMessage> = [{ messageId: id, tenantId: 'default', type: 'notes.write' }];
  const handle = await client.workflow.start<typeof outboxMessage>('outboxMessage', {
    ...{ workflowId: id, taskQueue, args },
  });
  return { id, handle };
}

const openIn = async (pool: pg.Pool, ids: readonly string[]): Promise<number> => {
  const { rowCount } = await pool.query(
    `select 1 from settle.message_log where awaiting_activity is not null and 'om_' || message_id = any ($1)`,
    [ids],
  );
  return rowCount ?? 0;
};

test('regular activities wait for their answers without a place of the worker’s, and none sends its message twice', async () => {
  const begun = await Promise.all([begin(sending.pool), begin(sending.pool), begin(sending.pool)]);
  await eventually(async () =>
    expect(
      await openIn(
        sending.pool,
        begun.map(({ id }) => id),
      ),
    ).toBe(3),
  );
  for (const event of participant.seen) await participant.reply(event, DONE);
  for (const { id, handle } of begun) expect(await handle.result()).toEqual({ messageId: id, state: 'delivered' });
  expect(participant.seen).toHaveLength(3);
});

test('an activity left open fails when its time is over, and its message is sent again under the same effect key', async () => {
  answer = () => (participant.seen.length > 1 ? DONE : undefined);
  const { id, handle } = await begin(sending.pool);
  expect(await handle.result()).toEqual({ messageId: id, state: 'delivered' });
  const keys = participant.seen.map(({ attributes }) => attributes['effectkey']);
  expect(keys).toEqual([`${id}/message/do`, `${id}/message/do`]);
  const { rows } = await sending.pool.query('select attempts from settle.message_log where effect_key = $1', [keys[0]]);
  expect(rows).toEqual([{ attempts: 2 }]);
});

test('an answer that reaches another worker completes the activity of the one that has sent', async () => {
  const { id, handle } = await begin(sending.pool);
  await eventually(async () => expect(await openIn(sending.pool, [id])).toBe(1));
  const [event] = participant.seen;
  const other = await newSender();
  sending.client.disconnect();
  sending.crash();
  await participant.reply(event!, DONE);
  expect(await handle.result()).toEqual({ messageId: id, state: 'delivered' });
  const { rows } = await other.pool.query('select attempts, status from settle.message_log where effect_key like $1', [
    `${id}/%`,
  ]);
  expect(rows).toEqual([{ attempts: 1, status: 'sent' }]);
  await other.stop();
});
