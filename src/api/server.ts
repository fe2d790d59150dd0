import 'reflect-metadata';
import type { Server } from 'node:http';
import { Module, type DynamicModule } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { ContractTable, EventTable } from '../saga/contracts.js';
import { unwrapped, type Wrap } from '../saga/wrap.js';
import { AwaitedEventsController } from './awaited-events.controller.js';
import { AwaitedEventsService } from './awaited-events.service.js';
import { createBacklog } from './backlog.js';
import { DocsController } from './docs.controller.js';
import { HealthController } from './health.controller.js';
import { createHttpAdapter } from './http-adapter.js';
import { Intake } from './intake.js';
import { createLedger } from './ledger.js';
import { createLedgerWatcher } from './ledger-watcher.js';
import { createMetrics } from './metrics.js';
import { MessagesController } from './messages.controller.js';
import { MessagesService } from './messages.service.js';
import { NoticesController } from './notices.controller.js';
import { OperatorController } from './operator.controller.js';
import { OperatorService } from './operator.service.js';
import { OrdersController } from './orders.controller.js';
import { OrdersService } from './orders.service.js';
import {
  PARTS,
  type ApiCircuits,
  type ApiConfig,
  type ApiDefinitions,
  type ApiExpress,
  type ApiHalfMessages,
  type ApiParts,
  type ApiRepairs,
  type ApiStarter,
} from './parts.js';
import { PaymentsController } from './payments.controller.js';
import { PaymentsService } from './payments.service.js';
import { ProblemFilter } from './problem.filter.js';
import { ProblemsController } from './problems.controller.js';
import { RegistrationsController } from './registrations.controller.js';
import { RegistrationsService } from './registrations.service.js';
import { RepairsController } from './repairs.controller.js';
import { RepairsService } from './repairs.service.js';
import { createRouteTable } from './route-table.js';
import { SagasController } from './sagas.controller.js';
import { SagasService } from './sagas.service.js';
import { SchemaPipe } from './schema.pipe.js';
import { prepareStop } from './stop-server.js';

/** What the API is started with; the pool and the starter stay the caller's to close. */
export interface ApiOptions {
  readonly config: ApiConfig;
  /** Of the producer's database. */
  readonly pool: pg.Pool;
  /** To the same database, for the looks that decide who is let in: they must not stand in line behind those who are. @default `pool` */
  readonly doorPool?: pg.Pool;
  readonly definitions: ApiDefinitions;
  /** Of every message that sagas send. */
  readonly contracts: ContractTable;
  /** That sagas wait for. */
  readonly events: EventTable;
  readonly starter: ApiStarter;
  /** @default none: every saga takes the workflow lane */
  readonly express?: ApiExpress;
  /** Of what is sent from this process. @default nothing is */
  readonly circuits?: ApiCircuits;
  readonly halfMessages: ApiHalfMessages;
  readonly repairs: ApiRepairs;
  readonly logger: Logger;
  /** Its ports are `ledger` and `starter`. @default handed on as they are */
  readonly wrap?: Wrap;
  /** Between the comment lines of a silent event stream. @default 15000 */
  readonly heartbeatMs?: number;
}

/** A running API. */
export interface ApiHandle {
  readonly url: string;
  /** Every route as `METHOD /pattern`. */
  readonly routes: readonly string[];
  /** Stops accepting, ends waits and streams, finishes what is under way, within 10 s; may be called again. */
  stop(): Promise<void>;
}

@Module({})
class ApiModule {}

/**
 * Serves the HTTP API.
 *
 * @throws Error when the address cannot be listened on
 * @example const api = await startApi({ config, pool, definitions, starter, halfMessages, repairs, logger });
 */
export async function startApi(options: ApiOptions): Promise<ApiHandle> {
  const parts = assemble(options);
  const adapter = createHttpAdapter(parts);
  const app = await NestFactory.create<NestFastifyApplication>(moduleOf(parts), adapter, {
    logger: false,
    abortOnError: false,
    bodyParser: false,
  });
  app.useGlobalPipes(new SchemaPipe()).useGlobalFilters(new ProblemFilter(parts));
  const stopServer = prepareStop(adapter.getInstance().server as Server);
  const { host, port } = options.config;
  try {
    await app.listen({ host, port });
  } catch (error) {
    await app.close();
    throw error;
  }
  const { port: actual } = adapter.getInstance().server.address() as { port: number };
  const url = `http://${host.includes(':') ? `[${host}]` : host}:${actual}`;
  let stopping: Promise<void> | undefined;
  const stop = async (): Promise<void> => {
    await parts.watcher.stop();
    const { wereCutOff } = await stopServer(() => app.close());
    if (wereCutOff) parts.logger.warn('answers were cut off: they did not leave in time');
  };
  return { url, routes: parts.routes.list(), stop: () => (stopping ??= stop()) };
}

function assemble({
  config,
  pool,
  doorPool = pool,
  definitions,
  contracts,
  events,
  logger,
  wrap = unwrapped,
  ...options
}: ApiOptions): ApiParts {
  const ledger = wrap('ledger', createLedger(pool));
  return {
    config,
    definitions,
    contracts,
    events,
    logger,
    ledger,
    starter: wrap('starter', options.starter),
    halfMessages: wrap('halfMessages', options.halfMessages),
    repairs: wrap('repairs', options.repairs),
    watcher: createLedgerWatcher({ ledger, logger }),
    backlog: createBacklog(doorPool === pool ? ledger : wrap('ledger', createLedger(doorPool)), config.backlog),
    express: options.express,
    metrics: createMetrics(ledger, options),
    routes: createRouteTable(),
    heartbeatMs: options.heartbeatMs ?? 15_000,
    manualWindowMs: config.windows.manualMs,
  };
}

function moduleOf(parts: ApiParts): DynamicModule {
  return {
    module: ApiModule,
    controllers: [
      ...[OrdersController, PaymentsController, RegistrationsController, MessagesController, OperatorController],
      ...[RepairsController, NoticesController, SagasController, AwaitedEventsController],
      ...[HealthController, ProblemsController, DocsController],
    ],
    providers: [
      { provide: PARTS, useValue: parts },
      ...[Intake, OrdersService, PaymentsService, RegistrationsService],
      ...[MessagesService, SagasService, AwaitedEventsService, OperatorService, RepairsService],
    ],
  };
}
