import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { randomUUID } from 'node:crypto';
import { NativeConnection, Worker } from '@temporalio/worker';
import { pino } from 'pino';
import type pg from 'pg';
import { v7 } from 'uuid';
import { createHalfMessageActivities } from '../../activities/half-message-activities.js';
import { createOutboxActivities } from '../../activities/outbox-activities.js';
import { withQuickAttempts } from '../../activities/quick-attempts.js';
import { createHalfMessageStarter, type HalfMessageStarter } from '../../src/api/half-message-starter.js';
import { createOutboxStarter, type OutboxStarter } from '../../src/api/outbox-starter.js';
import { createClient, ensureSearchAttributes } from '../../src/api/temporal.js';
import type { CheckRate } from '../../src/db/half-message-work.js';
import {
  decideHalfMessage,
  findHalfMessage,
  prepareHalfMessage,
  type HalfMessageRecord,
} from '../../src/db/half-messages.js';
import { recordOperatorAction } from '../../src/db/operator-actions.js';
import { CHECK_PLAN, type CheckPlan, type Verdict } from '../../src/saga/half-message.js';
import { messageId } from '../../src/saga/ids.js';
import type { MessageAction } from '../../src/saga/operator.js';
import { createCheckBackClient, type CheckBackQuestion } from '../../src/transports/check-back.js';
import { createRouter } from '../../src/transports/router.js';
import { openPool } from './pools.js';
import { bundleSources } from './workflow-bundle.js';

/** What a producer answers when it is asked; a number is a status without a verdict. */
export type Producer = (question: CheckBackQuestion) => Verdict | 'unknown' | number;

/** What is different about a half message. */
export interface Prepared {
  readonly plan?: Partial<CheckPlan>;
  readonly payload?: unknown;
  readonly producer: Producer;
  /** @default true */
  readonly isStarted?: boolean;
}

/** Half messages of a test: the ledger, a worker, a producer that answers as told. */
export interface HalfMessages {
  readonly pool: pg.Pool;
  readonly starter: HalfMessageStarter;
  /** Starts the workflows of outbox messages, on the same worker. */
  readonly outbox: OutboxStarter;
  readonly client: ReturnType<typeof createClient>;
  /** Questions asked, by message id. */
  readonly asked: Map<string, CheckBackQuestion[]>;
  /** The sizes of the requests that asked after several at once. */
  readonly batches: number[];
  prepare(prepared: Prepared): Promise<string>;
  /** As the API does: the ledger first, then the workflow. */
  decide(messageId: string, verdict: Verdict): Promise<Verdict>;
  find(messageId: string): Promise<HalfMessageRecord>;
  /** As the API does: the ledger first, then the workflow. */
  operate(messageId: string, action: MessageAction, given?: { payload?: unknown; result?: unknown }): Promise<void>;
  stop(): Promise<void>;
}

/** Checks in quick succession, for tests that cannot wait for minutes. */
export const HURRIED: CheckPlan = { ...CHECK_PLAN, firstMs: 50, initialMs: 50, capMs: 100, timeoutMs: 10_000 };

/** Starts them, on a ledger and a participant that listens at `participantUrl`. */
export async function startHalfMessages(
  databaseUrl: string,
  { participantUrl, checkRate }: { readonly participantUrl: string; readonly checkRate?: CheckRate },
): Promise<HalfMessages> {
  const pool = openPool(databaseUrl, { name: 'half-messages' });
  const address = process.env.SETTLE_TEST_TEMPORAL_ADDRESS!;
  const connection = await NativeConnection.connect({ address });
  const taskQueue = randomUUID();
  const config = { address, namespace: 'default', taskQueue, uiUrl: '' };
  const client = createClient(connection, config);
  await ensureSearchAttributes(client, config);
  const router = createRouter({ 'notes.write': { transport: 'http', url: `${participantUrl}/messages/notes.write` } });
  const checkBackClient = createCheckBackClient();
  const activities = {
    ...createHalfMessageActivities({ pool, router, checkBackClient, checkRate }),
    ...createOutboxActivities({ pool }),
  };
  const worker = await Worker.create({
    connection,
    taskQueue,
    workflowBundle: await bundleSources(),
    activities: { ...withQuickAttempts(activities) },
  });
  const running = worker.run();
  const logger = pino({ level: 'silent' });
  const starter = createHalfMessageStarter({ client, taskQueue, logger });
  const { server, url, asked, batches, producers } = await startProducers();
  const find = async (id: string): Promise<HalfMessageRecord> =>
    (await findHalfMessage(pool, { tenantId: 'default', messageId: id }))!;
  return {
    ...{ pool, starter, client, asked, batches, find },
    outbox: createOutboxStarter({ client, taskQueue, logger }),
    prepare: async ({ plan, payload = { amount: 5 }, producer, isStarted = true }) => {
      const id = messageId(v7());
      producers.set(id, producer);
      const prepared = await prepareHalfMessage(pool, {
        ...{ id, tenantId: 'default', idempotencyKey: id, requestHash: '', type: 'notes.write', payload },
        checkBackUrl: url,
        plan: { ...HURRIED, ...plan },
      });
      if (isStarted) starter.tellSoon(prepared);
      return id;
    },
    decide: async (id, verdict) => {
      const standing = await decideHalfMessage(
        pool,
        { tenantId: 'default', messageId: id },
        { verdict, by: 'producer' },
      );
      if (standing!.isNew) starter.tellSoon(standing!);
      return standing!.verdict;
    },
    operate: async (id, action, given) => {
      const request = { tenantId: 'default', subjectId: id, actionId: randomUUID(), requestHash: '', requestId: '' };
      const answer = await recordOperatorAction(
        pool,
        { ...request, action, actor: 'ann', reason: 'looked into it', ...given },
        { check: () => undefined, windowMs: Infinity },
      );
      if (answer.kind !== 'recorded') throw new Error(`'${action}' is ${answer.kind}`);
      const handle = client.workflow.getHandle(id);
      await handle.executeUpdate('operate', { args: [answer.action.operation] });
    },
    stop: async () => {
      await starter.stop();
      worker.shutdown();
      await running;
      await Promise.all([router.close(), checkBackClient.close()]);
      await connection.close();
      await pool.end();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

type Asked = CheckBackQuestion | { readonly messages: readonly CheckBackQuestion[] };

interface Producers {
  readonly server: Server;
  readonly url: string;
  readonly asked: HalfMessages['asked'];
  readonly batches: number[];
  readonly producers: Map<string, Producer>;
}

async function startProducers(): Promise<Producers> {
  const asked: HalfMessages['asked'] = new Map();
  const batches: number[] = [];
  const producers = new Map<string, Producer>();
  const server = createServer((request, response) => {
    void (async () => {
      const body = JSON.parse(Buffer.concat((await request.toArray()) as Buffer[]).toString()) as Asked;
      const isBatch = 'messages' in body;
      const answers = (isBatch ? body.messages : [body]).map((question) => {
        asked.set(question.messageId, [...(asked.get(question.messageId) ?? []), question]);
        return [question.messageId, producers.get(question.messageId)?.(question) ?? 404] as const;
      });
      if (isBatch) batches.push(answers.length);
      const [, first] = answers[0]!;
      // in a batch, a message without a verdict is left out
      const verdicts = Object.fromEntries(answers.filter(([, answer]) => typeof answer === 'string'));
      const isSilent = !isBatch && typeof first === 'number';
      response.writeHead(isSilent ? first : 200, { 'content-type': 'application/json' });
      response.end(isSilent ? 'no verdict' : JSON.stringify(isBatch ? { verdicts } : { verdict: first }));
    })();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    server,
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/check-back`,
    asked,
    batches,
    producers,
  };
}
