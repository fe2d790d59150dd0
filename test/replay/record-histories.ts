// Records the histories that replay.test.ts keeps:
//   node --import ./test/support/typescript.js test/replay/record-histories.ts <temporal address> <postgres url>
// Run it only for a new kind of ending: a stored history is never replaced, for it stands for the sagas in flight.
import { existsSync, realpathSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { dirname } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';
import { NativeConnection, Worker } from '@temporalio/worker';
import type pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import * as orders from '../../activities/orders.js';
import * as payments from '../../activities/payments.js';
import * as registrations from '../../activities/registrations.js';
import { createSagaActivities, type ActivityDependencies } from '../../activities/saga-activities.js';
import { createClient, ensureSearchAttributes } from '../../src/api/temporal.js';
import { migrate } from '../../src/db/migrate.js';
import { seedCustomers } from '../../src/db/orders.js';
import { seedInvoices } from '../../src/db/payments.js';
import { recordOperatorAction } from '../../src/db/operator-actions.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { acceptSaga, startOf } from '../../src/db/saga-store.js';
import type { Operation, OperatorAction } from '../../src/saga/operator.js';
import type { Plan } from '../../src/saga/plan.js';
import { createRouter } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { bundleSources } from '../support/workflow-bundle.js';

/** What a participant answers: a status, or nothing at all. */
type Behaviour = (type: string) => number | 'silence';

interface Ending {
  /** The word of the scenario, as in `orders-completed`. @default 'orders' */
  readonly scenario?: keyof typeof SCENARIOS;
  readonly behaviour: Behaviour;
  /** What is done to the saga once it is in trouble. */
  readonly act?: 'cancel' | OperatorAction;
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
  'payments-completed': { scenario: 'payments', behaviour: healthy },
  'payments-rejected': { scenario: 'payments', behaviour: only('accounts.reserve', 409) },
  'payments-capture-rejected': { scenario: 'payments', behaviour: only('accounts.capture', 409) },
  'payments-timed-out': { scenario: 'payments', behaviour: only('accounts.reserve', 'silence') },
  // the pivot has no undo: in doubt about it the saga waits for a person, and then goes on
  'payments-parked': {
    scenario: 'payments',
    behaviour: only('accounts.capture', 'silence'),
    act: 'retry',
    heal: healthy,
  },
  'payments-attested': { scenario: 'payments', behaviour: only('accounts.capture', 'silence'), act: 'skip' },
  'payments-given-up': {
    scenario: 'payments',
    behaviour: only('accounts.capture', 'silence'),
    act: 'compensate',
    heal: healthy,
  },
  'payments-resolved': { scenario: 'payments', behaviour: only('accounts.capture', 'silence'), act: 'resolve' },
  'registrations-completed': { scenario: 'registrations', behaviour: healthy },
  'registrations-rejected': { scenario: 'registrations', behaviour: only('profiles.create', 409) },
  'registrations-timed-out': { scenario: 'registrations', behaviour: only('accounts.credit', 'silence') },
  'registrations-cancelled': { scenario: 'registrations', behaviour: only('accounts.credit', 503), act: 'cancel' },
};

const RESULTS: Readonly<Record<string, object>> = {
  'inventory.deduct': { reservationId: 'r-1' },
  'inventory.release': { released: 1 },
  'accounts.debit': { entryId: 'e-1', balance: 1 },
  'accounts.refund': { refunded: 1 },
  'accounts.reserve': { reservationId: 'r-1' },
  'accounts.release': { released: 1 },
  'accounts.capture': { captured: 1 },
  'accounts.credit': { entryId: 'e-1', balance: 1 },
  'accounts.take-back': { takenBack: 1 },
  'profiles.create': { profileId: 'p-1' },
  'profiles.delete': { deleted: 1 },
  'profiles.send-welcome': { mailId: 'm-1' },
  'preferences.create': { preferencesId: 'p-1' },
  'preferences.delete': { deleted: 1 },
};

let invoices = 0;

/** What each scenario's saga is started with: no two recordings meet in a business row. */
const SCENARIOS = {
  orders: {
    type: 'place-order',
    input: () => ({
      orderId: `ord_${uuidv7()}`,
      customerId: 'c-1',
      currency: 'EUR',
      items: [{ sku: 'book', quantity: 1, unitPrice: 1_250 }],
    }),
  },
  payments: {
    type: 'pay-invoice',
    input: () => ({
      paymentId: `pay_${uuidv7()}`,
      invoiceId: `i-${(invoices += 1)}`,
      accountId: 'c-1',
      currency: 'EUR',
      amount: 5_000,
    }),
  },
  registrations: {
    type: 'register-user',
    input: () => {
      const userId = `usr_${uuidv7()}`;
      return { userId, userName: userId.slice(-30), email: `${userId}@example.org` };
    },
  },
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
  { behaviour: first, act, heal, scenario = 'orders' }: Ending,
  { pool, client }: Recorder,
): Promise<void> {
  behaviour = first;
  const { type, input: inputOf } = SCENARIOS[scenario];
  const definition = definitions.find((each) => each.type === type)!;
  const input = inputOf();
  const plan = act === 'cancel' ? definition.plan : hurried(definition.plan);
  const id = `sg_${uuidv7()}`;
  const accepted = await acceptSaga(pool, {
    ...{ id, tenantId: 'default', idempotencyKey: id, requestHash: 'recorded', type },
    ...{ businessKey: definition.businessKey(input), plan, input },
  });
  const handle = await client.workflow.start(definition.workflow, {
    workflowId: id,
    taskQueue: 'record',
    args: [startOf(accepted)],
  });
  if (act === 'cancel') {
    await until(pool, id, `exists (select 1 from settle.message_log m where m.saga_id = s.id and m.attempts > 3)`);
    await handle.signal('cancel', { code: 'cancelled', message: 'as the recording wants it' });
  }
  if (act && act !== 'cancel') {
    await until(pool, id, `state = 'parked'`);
    behaviour = heal ?? healthy;
    await handle.executeUpdate('operate', { args: [await decide(pool, id, act)] });
  }
  console.log(name, await handle.result());
  const json = withoutMachine(historyToJSON(await handle.fetchHistory()));
  writeFileSync(new URL(`./histories/${name}.json`, import.meta.url), `${json}\n`);
}

/** What an operator does about a parked saga, in the ledger; returns what its workflow is told. */
async function decide(pool: pg.Pool, sagaId: string, action: OperatorAction): Promise<Operation> {
  const answer = await recordOperatorAction(
    pool,
    {
      ...{ tenantId: 'default', subjectId: sagaId, actionId: uuidv7(), requestHash: 'recorded', requestId: 'recorded' },
      ...{ action, actor: 'ann', reason: 'as the recording wants it', result: { captured: 1 } },
      ...(action === 'resolve' ? { outcome: 'completed' } : {}),
    },
    { check: () => undefined, windowMs: Infinity },
  );
  if (answer.kind !== 'recorded') throw new Error(`saga '${sagaId}': ${action} is ${answer.kind}`);
  return answer.action.operation;
}

/** A history names the folder and the host that it was recorded on; neither matters to a replay. */
function withoutMachine(json: string): string {
  // the dependencies may be linked from elsewhere
  const elsewhere = dirname(realpathSync('node_modules'));
  return json
    .replaceAll(elsewhere, '.')
    .replaceAll(process.cwd(), '.')
    .replace(/\d+@[\w.-]+/g, 'recorder');
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
  await withTransaction(pool, seedInvoices);
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
    Object.entries({ orders, payments, registrations }).flatMap(([scenario, works]) =>
      Object.entries(works).map(([name, work]) => [`${scenario}.${name}`, work as never] as const),
    ),
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
