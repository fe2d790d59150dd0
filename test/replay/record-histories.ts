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
import * as payments from '../../activities/payments.js';
import * as registrations from '../../activities/registrations.js';
import { createSagaActivities, type ActivityDependencies } from '../../activities/saga-activities.js';
import type { WorkflowHandle } from '@temporalio/client';
import { createClient, ensureSearchAttributes } from '../../src/api/temporal.js';
import { recordEvent } from '../../src/db/awaited-events.js';
import { childSagaId } from '../../src/db/child-sagas.js';
import { migrate } from '../../src/db/migrate.js';
import { seedCustomers } from '../../src/db/orders.js';
import { seedInvoices } from '../../src/db/payments.js';
import { recordOperatorAction } from '../../src/db/operator-actions.js';
import { createPool, withTransaction } from '../../src/db/pool.js';
import { acceptSaga, startOf } from '../../src/db/saga-store.js';
import type { Operation, OperatorAction } from '../../src/saga/operator.js';
import { allSteps } from '../../src/saga/plan.js';
import { createRouter } from '../../src/transports/router.js';
import { definitions } from '../../workflows/definitions.js';
import { ENDINGS, healthy, hurried, RESULTS, SCENARIOS, type Behaviour, type Ending } from './endings.js';
import { withoutMachine } from '../support/machine-free.js';
import { bundleSources } from '../support/workflow-bundle.js';

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

async function record(name: string, ending: Ending, { pool, client }: Recorder): Promise<void> {
  const { act, child, scenario = 'orders' } = ending;
  behaviour = ending.behaviour;
  const { type, input: inputOf } = SCENARIOS[scenario];
  const definition = definitions.find((each) => each.type === type)!;
  const input = inputOf();
  const plan = act === 'cancel' || act === 'approve' ? definition.plan : hurried(definition.plan);
  const id = `sg_${uuidv7()}`;
  const accepted = await acceptSaga(pool, {
    ...{ id, tenantId: 'default', idempotencyKey: id, requestHash: 'recorded', type },
    ...{ businessKey: definition.businessKey(input), plan, input },
  });
  if (act === 'approve-early') await approve(pool, id);
  const handle = await client.workflow.start(definition.workflow, {
    workflowId: id,
    taskQueue: 'record',
    args: [startOf(accepted)],
  });
  await perform(ending, handle, pool);
  console.log(name, await handle.result());
  await store(name, handle);
  if (child === undefined) return;
  const kin = client.workflow.getHandle(childSagaId({ sagaId: id, step: allSteps(definition.plan)[0]!.name }));
  console.log(child, await kin.result());
  await store(child, kin);
}

/** Does to a saga in trouble what its ending says. */
async function perform({ act, heal }: Ending, handle: WorkflowHandle, pool: pg.Pool): Promise<void> {
  const { workflowId: id } = handle;
  switch (act) {
    case undefined:
    case 'approve-early':
      return;
    case 'cancel':
      await until(
        pool,
        id,
        `(${WAITS} or exists (select 1 from settle.message_log m where m.saga_id = s.id and m.attempts > 3))`,
      );
      await handle.signal('cancel', { code: 'cancelled', message: 'as the recording wants it' });
      return;
    case 'approve':
      await until(pool, id, WAITS);
      await approve(pool, id);
      await handle.signal('news');
      return;
    default:
      await until(pool, id, `state = 'parked'`);
      behaviour = heal ?? healthy;
      await handle.executeUpdate('operate', { args: [await decide(pool, id, act)] });
  }
}

const WAITS = 'exists (select 1 from settle.awaited_event e where e.saga_id = s.id)';

async function approve(pool: pg.Pool, sagaId: string): Promise<void> {
  const parse = (): object => ({ approvedBy: 'ann', account: 'c-1' });
  await recordEvent(pool, { tenantId: 'default', sagaId, event: 'order-approved', bodyHash: 'recorded', parse });
}

async function store(name: string, handle: WorkflowHandle): Promise<void> {
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
  const pool = createPool(databaseUrl, { pipelines: true });
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
