import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { createExpressLane, type ExpressLane, type ExpressLedger } from '../../activities/express-lane.js';
import { createSagaActivities } from '../../activities/saga-activities.js';
import { acceptExpress, handOver, mayPassTurn, settleExpress } from '../../src/db/express.js';
import { seedCustomers } from '../../src/db/orders.js';
import { seedInvoices } from '../../src/db/payments.js';
import { withTransaction } from '../../src/db/pool.js';
import { recordState, type AcceptedSaga, type NewSaga } from '../../src/db/saga-store.js';
import { localWorks } from '../../src/local-works.js';
import { contractsOf } from '../../src/saga/contracts.js';
import { createRouter } from '../../src/transports/router.js';
import { definitions, startable } from '../../workflows/definitions.js';
import { useDatabase } from './databases.js';
import { eventually } from './eventually.js';
import { openPool } from './pools.js';
import { newSaga } from './sagas.js';

/** What a participant answers. */
export interface Answer {
  /** 0: none, the connection ends. */
  readonly status: number;
  readonly body?: unknown;
}

/** A participant of every message type, which answers what it is told to. */
export interface AnsweringParticipant {
  /** The effect keys of what it was sent, in order. */
  readonly received: string[];
  /** By message type; others get what their contract wants. */
  readonly answers: Map<string, Answer>;
  /** Keeps messages of a type waiting; those that have come are answered when the returned function is called. */
  hold(type: string): () => void;
  /** What it takes for an answer, in ms. @default 0 */
  delayMs: number;
  readonly url: string;
  close(): Promise<void>;
}

const GOOD: Readonly<Record<string, unknown>> = {
  'inventory.deduct': { reservationId: 'r-1' },
  'accounts.debit': { entryId: 'e-1', balance: 1 },
  'accounts.reserve': { reservationId: 'r-2' },
  'accounts.capture': { captured: 5_000 },
  'accounts.credit': { entryId: 'e-2', balance: 1 },
  'profiles.create': { profileId: 'p-1' },
  'preferences.create': { preferencesId: 'p-2' },
  'profiles.send-welcome': { mailId: 'm-1' },
};

/** Starts one on a free port. */
export async function startParticipant(): Promise<AnsweringParticipant> {
  const received: string[] = [];
  const answers = new Map<string, Answer>();
  const held = new Map<string, (() => void)[]>();
  const reply = (type: string, response: ServerResponse): void => {
    const { status, body } = answers.get(type) ?? { status: 200, body: GOOD[type] ?? {} };
    if (status === 0) return void response.socket?.destroy();
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(body ?? {}));
  };
  const server = createServer((request: IncomingMessage, response) => {
    request.resume();
    const type = request.headers['ce-type'] as string;
    received.push(request.headers['idempotency-key'] as string);
    const waiting = held.get(type);
    if (waiting) waiting.push(() => reply(type, response));
    else if (participant.delayMs > 0) setTimeout(() => reply(type, response), participant.delayMs);
    else reply(type, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const participant: AnsweringParticipant = {
    received,
    answers,
    delayMs: 0,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    hold: (type) => {
      const waiting: (() => void)[] = [];
      held.set(type, waiting);
      return () => {
        held.delete(type);
        for (const answer of waiting) answer();
      };
    },
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
  return participant;
}

/** An express lane over a real ledger, and what a test may look at. */
export interface TestLane extends ExpressLane {
  readonly pool: pg.Pool;
  /** The sagas whose workflows were to be started. */
  readonly started: AcceptedSaga[];
  readonly errors: unknown[];
  /** Waits for nothing: how many sagas have gone where. */
  count(ending: string): number;
}

/**
 * Opens a lane for the samples' sagas that can run in it.
 *
 * @param change of its ledger, to fail on purpose
 */
export function openLane(databaseUrl: string, participantUrl: string, change: Partial<ExpressLedger> = {}): TestLane {
  const pool = openPool(databaseUrl, { name: 'express-test', plansOnce: true, pipelines: true });
  const routes = [...contractsOf(definitions).keys()].map((type) => [
    type,
    { transport: 'http' as const, url: participantUrl },
  ]);
  const router = createRouter(Object.fromEntries(routes) as Parameters<typeof createRouter>[0]);
  const started: AcceptedSaga[] = [];
  const errors: unknown[] = [];
  const lane = createExpressLane({
    definitions: [startable.placeOrder, startable.payInvoice, startable.registerUser] as never,
    router,
    localWorks: localWorks(),
    activities: createSagaActivities({ pool, router, definitions, localWorks: localWorks() }),
    ledger: {
      accept: (start) => acceptExpress(pool, start),
      mayPassTurn: (sagaId) => mayPassTurn(pool, sagaId),
      settle: (ends) => settleExpress(pool, ends),
      handOver: (given) => handOver(pool, given),
      ...change,
    },
    startSoon: (saga) => void started.push(saga),
    onError: (error) => void errors.push(error),
  });
  let stopped: Promise<void> | undefined;
  return {
    ...lane,
    ...{ pool, started, errors },
    count: (ending) =>
      lane
        .counts()
        .filter((each) => each.ending === ending)
        .reduce((sum, { count }) => sum + count, 0),
    stop: () =>
      (stopped ??= lane
        .stop()
        .then(() => Promise.all([router.close(), pool.end()]))
        .then(() => undefined)),
  };
}

/** A payment of an invoice that nobody has accepted yet. */
export function newPayment(invoiceId: string): NewSaga {
  const paymentId = `pay_${uuidv7()}`;
  return newSaga({
    ...{ type: 'pay-invoice', businessKey: paymentId, plan: startable.payInvoice.plan },
    input: { paymentId, invoiceId, accountId: 'c-1', currency: 'EUR', amount: 5_000 },
  });
}

/** A registration that nobody has accepted yet. */
export function newRegistration(userName: string): NewSaga {
  const userId = `usr_${uuidv7()}`;
  return newSaga({
    ...{ type: 'register-user', businessKey: userId, plan: startable.registerUser.plan },
    input: { userId, userName, email: `${userName}@example.com` },
  });
}

/** What a saga owes, in the order of its steps. */
export async function messagesOf(pool: pg.Pool, sagaId: string): Promise<Record<string, unknown>[]> {
  const { rows } = await pool.query<Record<string, unknown>>(
    `select step, status, attempts, result, reason ->> 'code' as code, last_error as error, first_sent_at is not null as "isBegun"
       from settle.message_log where saga_id = $1 and action = 'do' order by id`,
    [sagaId],
  );
  return rows;
}

/** A lane and a participant of a test's own, over a seeded ledger of its file's own. */
export interface ExpressFixture {
  readonly pool: pg.Pool;
  readonly participant: AnsweringParticipant;
  readonly lane: TestLane;
  /** Puts another lane in the place of this one, whose ledger fails on purpose. */
  reopen(change: Partial<ExpressLedger>): Promise<void>;
  untilEnded(ending: string): Promise<void>;
  /** A saga, and the states that it has been in. */
  sagaOf(id: string): Promise<Record<string, unknown>>;
  /** What a saga owes, in the order of its steps. */
  messagesOf(id: string): Promise<Record<string, unknown>[]>;
  /** What its workflow would find begun when it decides to compensate. */
  begunBy(sagaId: string): Promise<readonly string[] | undefined>;
}

/** Gives a test file all of it. */
export function useExpress(): ExpressFixture {
  const database = useDatabase('producer');
  let pool: pg.Pool;
  let participant: AnsweringParticipant;
  let lane: TestLane;
  beforeAll(async () => {
    pool = openPool(database.url, { max: 4 });
    await withTransaction(pool, async (tx) => {
      await seedCustomers(tx);
      await seedInvoices(tx);
    });
  });
  afterAll(() => pool.end());
  beforeEach(async () => {
    participant = await startParticipant();
    lane = openLane(database.url, participant.url);
  });
  afterEach(async () => {
    await lane.stop();
    await participant.close();
  });
  return {
    get pool() {
      return pool;
    },
    get participant() {
      return participant;
    },
    get lane() {
      return lane;
    },
    reopen: async (change) => {
      await lane.stop();
      lane = openLane(database.url, participant.url, change);
    },
    untilEnded: (ending) =>
      eventually(() => {
        expect(lane.count(ending)).toBe(1);
      }),
    sagaOf: async (id) => {
      const { rows } = await pool.query<Record<string, unknown>>(
        `select state, reason, leased_until is not null as "hasLease", due_at is not null as "isDue",
                (select array_agg(state order by id) from settle.saga_event where saga_id = $1) as events
           from settle.saga where id = $1`,
        [id],
      );
      return rows[0]!;
    },
    messagesOf: (id) => messagesOf(pool, id),
    begunBy: async (sagaId) => {
      const reason = { code: 'test', message: 'what was begun?' };
      const { begun } = await withTransaction(pool, (tx) => recordState(tx, { sagaId, state: 'compensating', reason }));
      return begun?.toSorted();
    },
  };
}
