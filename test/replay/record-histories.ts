// Records the histories that replay.test.ts keeps:
//   node --import ./test/support/typescript.js test/replay/record-histories.ts <temporal address> <postgres url>
// Run it only for a new kind of ending: a stored history is never replaced, for it stands for the sagas in flight.
import { existsSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { NativeConnection, Worker } from '@temporalio/worker';
import type pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import * as orders from '../../activities/orders.js';
import { createSagaActivities, type ActivityDependencies } from '../../activities/saga-activities.js';
import { createClient, ensureSearchAttributes } from '../../src/api/temporal.js';
import { migrate } from '../../src/db/migrate.js';
import { seedCustomers } from '../../src/db/orders.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { acceptSaga, startOf } from '../../src/db/saga-store.js';
import type { Plan } from '../../src/saga/plan.js';
import { createRouter } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { placeOrderSaga } from '../../workflows/orders.js';
import { bundleSources } from '../support/workflow-bundle.js';

/** What a participant answers: a status, or nothing at all. */
type Behaviour = (type: string) => number | 'silence';

interface Ending {
  readonly behaviour: Behaviour;
  /** What is done to the saga once it is in trouble. */
  readonly act?: 'cancel' | 'retry';
  readonly heal?: Behaviour;
}

const healthy: Behaviour = () => 200;
const only =
  (type: string, answer: number | 'silence'): Behaviour =>
  (asked) =>
    asked === type ? answer : 200;

const ENDINGS: Readonly<Record<string, Ending>> = {
  'orders-completed': { behaviour: healthy },
  'orders-rejected': { behaviour: only('accounts.debit', 409) },
  'orders-timed-out': { behaviour: only('accounts.debit', 'silence') },
  'orders-cancelled': { behaviour: only('accounts.debit', 503), act: 'cancel' },
  'orders-parked': {
    behaviour: (type) => ({ 'accounts.debit': 409, 'inventory.release': 409 })[type] ?? 200,
    act: 'retry',
    heal: only('accounts.debit', 409),
  },
};

const RESULTS: Readonly<Record<string, object>> = {
  'inventory.deduct': { reservationId: 'r-1' },
  'inventory.release': { released: 1 },
  'accounts.debit': { entryId: 'e-1', balance: 1 },
  'accounts.refund': { refunded: 1 },
};

let behaviour: Behaviour = healthy;

function startParticipants(): Promise<Server> {
  const server = createServer((request, response) => {
    const type = request.url!.slice(1);
    const answer = behaviour(type);
    request.resume();
    if (answer === 'silence') return;
    response.writeHead(answer, { 'content-type': 'application/json' });
    response.end(
      JSON.stringify(answer === 200 ? RESULTS[type] : { code: 'refused', detail: 'as the recording wants it' }),
    );
  });
  return new Promise((resolve) => server.listen(0, '127.0.0.1', () => resolve(server)));
}

/** Retry budgets of seconds: the plan is data, so that a recording need not wait for minutes. */
function hurried(plan: Plan): Plan {
  const retry = { initialMs: 100, factor: 2, capMs: 500, budgetMs: 3_000, timeoutMs: 500 };
  const text = JSON.stringify(plan, (key, value: unknown) => (key === 'retry' ? retry : value));
  return JSON.parse(text) as Plan;
}

async function record(
  name: string,
  { behaviour: first, act, heal }: Ending,
  { pool, client }: Recorder,
): Promise<void> {
  behaviour = first;
  const orderId = `ord_${uuidv7()}`;
  const input = {
    orderId,
    customerId: 'c-1',
    currency: 'EUR',
    items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }],
  };
  const plan = act === 'cancel' ? placeOrderSaga.plan : hurried(placeOrderSaga.plan);
  const id = `sg_${uuidv7()}`;
  const accepted = await acceptSaga(pool, {
    ...{
      id,
      tenantId: 'default',
      idempotencyKey: id,
      requestHash: 'recorded',
      type: 'place-order',
      businessKey: orderId,
    },
    ...{ plan, input },
  });
  const handle = await client.workflow.start('placeOrder', {
    workflowId: id,
    taskQueue: 'record',
    args: [startOf(accepted)],
  });
  if (act === 'cancel') {
    await until(pool, id, `exists (select 1 from settle.message_log m where m.saga_id = s.id and m.attempts > 3)`);
    await handle.signal('cancel', { code: 'cancelled', message: 'as the recording wants it' });
  }
  if (act === 'retry') {
    await until(pool, id, `state = 'parked'`);
    behaviour = heal ?? healthy;
    while (!(await handle.executeUpdate<boolean, []>('retry'))) await pause(50);
  }
  console.log(name, await handle.result());
  const json = withoutMachine(historyToJSON(await handle.fetchHistory()));
  writeFileSync(new URL(`./histories/${name}.json`, import.meta.url), `${json}\n`);
}

/** A history names the folder and the host that it was recorded on; neither matters to a replay. */
function withoutMachine(json: string): string {
  return json.replaceAll(process.cwd(), '.').replace(/\d+@[\w.-]+/g, 'recorder');
}

interface Recorder {
  readonly pool: pg.Pool;
  readonly client: ReturnType<typeof createClient>;
}

async function until(pool: pg.Pool, id: string, condition: string): Promise<void> {
  for (;;) {
    const { rowCount } = await pool.query(`select 1 from settle.saga s where id = $1 and ${condition}`, [id]);
    if (rowCount === 1) return;
    await pause(50);
  }
}

async function main(address: string, databaseUrl: string): Promise<void> {
  await migrate(databaseUrl);
  const pool = createPool(databaseUrl);
  await withTransaction(pool, seedCustomers);
  const server = await startParticipants();
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const router = createRouter(
    Object.fromEntries(
      Object.keys(RESULTS).map((type) => [type, { transport: 'http' as const, url: `${base}/${type}` }]),
    ),
  );
  const connection = await NativeConnection.connect({ address });
  const config = { address, namespace: 'default', taskQueue: 'record', uiUrl: '' };
  const client = createClient(connection, config);
  await ensureSearchAttributes(client, config);
  const localWorks: ActivityDependencies['localWorks'] = new Map(
    Object.entries(orders).map(([name, work]) => [`orders.${name}`, work as never]),
  );
  const activities = createSagaActivities({ pool, router, definitions, localWorks });
  const worker = await Worker.create({
    connection,
    taskQueue: 'record',
    workflowBundle: await bundleSources(),
    activities: { ...activities },
  });
  await worker.runUntil(async () => {
    for (const [name, ending] of Object.entries(ENDINGS)) {
      if (existsSync(new URL(`./histories/${name}.json`, import.meta.url))) continue;
      await record(name, ending, { pool, client });
    }
  });
  await router.close();
  await connection.close();
  await pool.end();
  server.closeAllConnections();
  server.close();
}

await main(process.argv[2]!, process.argv[3]!);
