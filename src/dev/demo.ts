import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { SagaView } from '../api/schemas.js';
import type { Config } from '../config.js';
import { auditParticipants, holdSku } from '../samples/audit.js';
import type { Audit } from '../samples/audit.js';
import type { ParticipantDatabases } from '../samples/participants.js';
import { installRuntime } from '../worker.js';
import { createDemoClient, UNIT_PRICE } from './demo-client.js';
import type { DemoClient, DemoOrder } from './demo-client.js';
import { checkScenarios, payInvoices, registerUsers, sendFromSql } from './demo-scenarios.js';
import type { Check, Show } from './demo-scenarios.js';
import { approveOrders, placeFirstOrders } from './demo-steps.js';
import { findFreePorts } from './ports.js';
import { startStack } from './stack.js';
import { startGate, type Gate } from './demo-gate.js';
import { repairParkedSaga } from './demo-operator.js';
import { sendHalfMessages } from './demo-half-messages.js';
import { timelineOf } from '../cli/timeline.js';
import type { Stack, StopSignals } from './stack.js';

export interface DemoOptions {
  /** The settings, with these variables in place of the environment's. */
  readonly loadConfig: (overrides: NodeJS.ProcessEnv) => Config;
  readonly print: (line: string) => void;
  readonly signals: StopSignals;
}

/** An order that was placed, and how its saga ended. */
interface Placed {
  readonly order: DemoOrder;
  readonly saga: SagaView;
}

const CROWD = 20;

/**
 * `npm run demo`: brings up the whole on free ports in a temporary folder, places orders, shows what became of each, and
 * checks that nothing was lost or made up on the way. Leaves nothing behind.
 *
 * @throws Error, one line, when anything is not as promised
 */
export async function runDemo({ loadConfig, print, signals }: DemoOptions): Promise<void> {
  const dataDir = mkdtempSync(join(tmpdir(), 'settle-demo-'));
  // PostgreSQL may run as another user, who must be able to enter
  chmodSync(dataDir, 0o755);
  const settings = loadConfig(await settingsFor(dataDir));
  // over HTTP whatever the others go over: it is held up on the way
  const gate = await startGate(`http://127.0.0.1:${settings.inventoryPort}/messages/inventory.release`);
  const routes = { ...settings.routes, 'inventory.release': { transport: 'http', url: gate.url } as const };
  try {
    const config = { ...settings, routes };
    print('bringing up PostgreSQL, Temporal, the API, the worker and three participants …');
    const stack = await startStack({ config, progress: print, signals, onLog: installRuntime });
    try {
      await Promise.race([showAndCheck(stack, { print, signal: signals.stop, gate }), stack.failed]);
    } finally {
      await stack.stop();
    }
  } finally {
    await gate.stop();
    rmSync(dataDir, { recursive: true, force: true });
  }
}

/** Databases of its own, whatever the environment names, as it counts what is in them; and its own queue on a Temporal that is shared. */
async function settingsFor(dataDir: string): Promise<NodeJS.ProcessEnv> {
  const port = await findFreePorts(7);
  const ports = [
    'PORT',
    'SETTLE_INVENTORY_PORT',
    'SETTLE_ACCOUNTS_PORT',
    'SETTLE_POSTGRES_PORT',
    'SETTLE_TEMPORAL_PORT',
    'SETTLE_UI_PORT',
    'SETTLE_PROFILES_PORT',
  ];
  return {
    ...Object.fromEntries(ports.map((name, index) => [name, String(port + index)])),
    ...{ DATABASE_URL: '', SETTLE_INVENTORY_DATABASE_URL: '', SETTLE_ACCOUNTS_DATABASE_URL: '' },
    ...{ SETTLE_PROFILES_DATABASE_URL: '', SETTLE_ROUTES: '', SETTLE_RABBITMQ_URL: '', SETTLE_KAFKA_BROKERS: '' },
    ...{ SETTLE_ROCKETMQ_ENDPOINTS: '', SETTLE_REDIS_URL: '' },
    ...{ HOST: '127.0.0.1', SETTLE_DATA_DIR: dataDir, SETTLE_TASK_QUEUE: basename(dataDir) },
  };
}

interface Stage {
  readonly print: (line: string) => void;
  readonly signal: AbortSignal;
  /** Before the warehouse, when stock is given back. */
  readonly gate: Gate;
}

async function showAndCheck({ config, urls }: Stack, { print, signal, gate }: Stage): Promise<void> {
  const [apiKey] = config.apiKeys.keys();
  const client = createDemoClient(urls.api, apiKey, signal);
  const databases = {
    inventoryDatabaseUrl: config.inventoryDatabaseUrl!,
    accountsDatabaseUrl: config.accountsDatabaseUrl!,
    profilesDatabaseUrl: config.profilesDatabaseUrl!,
  };
  const opening = await auditParticipants(databases);
  const show: Show = (title, sagas, lines = []) =>
    print(['', title, ...[...sagas.flatMap(timelineOf), ...lines].map((line) => `  ${line}`)].join('\n'));

  const { placed, checks } = await placeExamples({ client, databases, show });
  const crowd = await placeCrowd(client);
  print(`\n${CROWD} more orders at the same time\n  ${countStates(crowd)}`);

  const place = { settleUrl: urls.api, apiKey, databaseUrl: config.databaseUrl! };
  const scenarios = [
    await payInvoices(client, show),
    await registerUsers(client, show),
    await sendHalfMessages(client, show, place),
    await sendFromSql(client, show, config.databaseUrl!),
    await approveOrders(client, show),
    await placeFirstOrders(client, show),
    await repairParkedSaga(client, show, gate),
  ];

  const closing = await auditParticipants(databases);
  const paid = scenarios.reduce((sum, end) => sum + end.takings, 0);
  const sold = scenarios.reduce((sum, end) => sum + (end.sold ?? 0), 0);
  const all = [
    ...[...checks, checkCrowd(crowd)],
    ...checkBooks([...placed, ...crowd], { opening, closing, paid, sold }),
    ...checkScenarios(scenarios, opening, closing),
  ];
  print(['', 'Checks', ...all.map(({ isGood, text }) => `  ${isGood ? '✓' : '✗'} ${text}`), ''].join('\n'));
  const failed = all.filter(({ isGood }) => !isGood);
  if (failed.length > 0) throw new Error(`the demo failed: ${failed.map(({ text }) => `not so: ${text}`).join('; ')}`);
  print('Everything settled; nothing was lost, nothing was made up.');
}

interface Scene {
  readonly client: DemoClient;
  readonly databases: ParticipantDatabases;
  readonly show: Show;
}

interface Played {
  readonly placed: readonly Placed[];
  readonly checks: readonly Check[];
}

async function placeExamples({ client, databases, show }: Scene): Promise<Played> {
  const place = async (order: DemoOrder, key?: string): Promise<Placed> => ({
    order,
    saga: await client.settled(await client.place(order, key)),
  });
  const good = await place({ customerId: 'c-1', sku: 'book', quantity: 2 }, 'demo-1');
  show('An order that completes', [good.saga]);
  const noStock = await place({ customerId: 'c-2', sku: 'sold-out', quantity: 1 });
  show('An order refused for lack of stock', [noStock.saga]);
  const noMoney = await place({ customerId: 'c-poor', sku: 'book', quantity: 1 });
  show('An order refused for lack of money: its stock is released', [noMoney.saga]);
  const again = await client.place(good.order, 'demo-1');
  show(`The first order once more, with the same Idempotency-Key: the same saga, ${again}`, []);
  const cancelled = await placeAndCancel(client, databases);
  show('An order that is cancelled while its stock is being taken', [cancelled.saga]);
  return {
    placed: [good, noStock, noMoney, cancelled],
    checks: [
      { isGood: good.saga.state === 'completed', text: 'the order that could be completed was' },
      { isGood: isRefused(noStock, 'out-of-stock'), text: 'the order without stock was undone' },
      {
        isGood: isRefused(noMoney, 'insufficient-funds'),
        text: 'the order without money was undone, its stock released',
      },
      { isGood: cancelled.saga.state === 'compensated', text: 'the cancelled order was undone' },
      { isGood: again === good.saga.sagaId, text: 'the same key brought the same saga' },
    ],
  };
}

/** A saga takes some 50 ms, too short for changing one's mind: so its stock is made to wait until the cancel has been heard. */
async function placeAndCancel(client: DemoClient, databases: ParticipantDatabases): Promise<Placed> {
  const order = { customerId: 'c-3', sku: 'book', quantity: 1 };
  const letGo = await holdSku(databases, order.sku);
  try {
    const sagaId = await client.place(order);
    await client.waitFor(sagaId, ({ steps }) =>
      steps.some(({ name, status }) => name === 'stock' && status === 'running'),
    );
    await client.cancel(sagaId);
    await client.waitFor(sagaId, hasHeard);
    await letGo();
    return { order, saga: await client.settled(sagaId) };
  } finally {
    await letGo();
  }
}

/** Signals reach a workflow between its tasks: at the latest when the step has left the fast path, after its three attempts. */
function hasHeard({ state, steps }: SagaView): boolean {
  return state !== 'running' || steps.some(({ name, attempts }) => name === 'stock' && attempts > 3);
}

/** All at once, one in five of them by a customer without money, and two that want the one rare book. */
async function placeCrowd(client: DemoClient): Promise<readonly Placed[]> {
  const orders = Array.from({ length: CROWD }, (_, index) => ({
    customerId: index % 5 === 4 ? 'c-poor' : `c-${index + 10}`,
    sku: index < 2 ? 'rare' : 'book',
    quantity: index < 2 ? 1 : 1 + (index % 3),
  }));
  return Promise.all(orders.map(async (order) => ({ order, saga: await client.settled(await client.place(order)) })));
}

function isRefused({ saga }: Placed, code: string): boolean {
  return saga.state === 'compensated' && saga.reason?.code === code;
}

function countStates(placed: readonly Placed[]): string {
  const states = [...new Set(placed.map(({ saga }) => saga.state))].sort();
  return states.map((state) => `${placed.filter(({ saga }) => saga.state === state).length} ${state}`).join(', ');
}

function checkCrowd(crowd: readonly Placed[]): Check {
  const isGood = crowd.every(({ order, saga }) =>
    order.customerId === 'c-poor' ? isRefused({ order, saga }, 'insufficient-funds') : saga.state !== 'parked',
  );
  const rare = crowd.filter(({ order, saga }) => order.sku === 'rare' && saga.state === 'completed');
  return {
    isGood: isGood && rare.length === 1,
    text: `of ${CROWD} at once each settled, and one of two got the one rare book`,
  };
}

interface Books {
  readonly opening: Audit;
  readonly closing: Audit;
  /** What payments have brought the merchant, in minor units. */
  readonly paid: number;
  /** How many books were sold beside the orders that are given. */
  readonly sold: number;
}

/** What the participants' own books say, against what the API told the client. */
function checkBooks(placed: readonly Placed[], { opening, closing, paid, sold }: Books): Check[] {
  const completed = placed.filter(({ saga }) => saga.state === 'completed').map(({ order }) => order);
  const soldOf = (sku: string): number => closing.stock.get(sku)!.sold - opening.stock.get(sku)!.sold;
  const isConserved = [...closing.stock.values()].every((stock) => stock.onHand + stock.sold === stock.opening);
  const isSold = [...closing.stock.keys()].every(
    (sku) => soldOf(sku) === countOf(completed.filter((order) => order.sku === sku)) + (sku === 'book' ? sold : 0),
  );
  const takings = closing.takings - opening.takings;
  return [
    { isGood: isConserved, text: 'stock: on hand + sold = opening, for every sku' },
    { isGood: isSold, text: `stock: ${countOf(completed) + sold} sold, as many as the completed orders name` },
    { isGood: closing.money.balance === closing.money.opening, text: 'money: the sum of all balances is what it was' },
    {
      isGood: takings === countOf(completed) * UNIT_PRICE + paid,
      text: `money: ${euros(takings)} EUR taken, the sum of the completed orders and payments`,
    },
  ];
}

function countOf(orders: readonly DemoOrder[]): number {
  return orders.reduce((sum, { quantity }) => sum + quantity, 0);
}

function euros(minorUnits: number): string {
  return (minorUnits / 100).toFixed(2);
}
