import type pg from 'pg';
import type { Logger } from 'pino';
import { definitions, startable } from '../../workflows/definitions.js';
import { createHalfMessageStarter } from '../api/half-message-starter.js';
import { createOutboxStarter } from '../api/outbox-starter.js';
import { createRepairStarter } from '../api/repair-starter.js';
import { createSagaStarter } from '../api/saga-starter.js';
import { createClient, createLazyClient, ensureScanSchedule, ensureSearchAttributes } from '../api/temporal.js';
import { createPool } from '../db/pool.js';
import { checkDatabase } from '../reach.js';
import type { RolesOptions, Stop } from '../roles.js';
import { contractsOf, eventsOf } from '../saga/contracts.js';
import type { SagaDefinition } from '../saga/define-saga.js';
import { unwrapped } from '../saga/wrap.js';
import { createCircuits } from '../transports/circuits.js';

/** The producer's side of a process. */
export interface Producer {
  readonly apiUrl?: string;
  readonly failed: Promise<never>;
}

/** The producer's side: API, worker, or both on one connection, so that a workflow starts on the worker at hand. */
export async function addProducer({ config, roles, logger, wrap }: RolesOptions, stops: Stop[]): Promise<Producer> {
  await checkDatabase('DATABASE_URL', config.databaseUrl!, 'settle.saga');
  const { pool, doorPool } = openPools(config.databaseUrl!, logger);
  stops.unshift(() => Promise.all([pool.end(), doorPool.end()]));
  const hasWorker = roles.includes('worker');
  const connection = hasWorker ? await (await import('./temporal.js')).connectTemporal(config) : undefined;
  const client = connection ? createClient(connection, config.temporal) : createLazyClient(config.temporal);
  stops.unshift(() => client.connection.close());
  const starter = createSagaStarter({
    client,
    taskQueue: config.temporal.taskQueue,
    workflowOf: (type) => definitionOf(type).workflow,
    sharesConnection: hasWorker,
    logger,
  });
  const halfMessages = createHalfMessageStarter({ client, taskQueue: config.temporal.taskQueue, logger });
  const repairs = createRepairStarter({ client, taskQueue: config.temporal.taskQueue, logger });
  stops.unshift(...[repairs, halfMessages, starter].map((each) => () => each.stop()));
  const circuits = createCircuits(logger);
  let failed = new Promise<never>(() => undefined);
  if (connection) {
    const prepareTemporal = async (): Promise<void> => {
      await ensureSearchAttributes(client, config.temporal);
      await ensureScanSchedule(client, config.temporal);
    };
    await prepareTemporal();
    const { startWorker } = await import('../worker.js');
    const worker = await startWorker({
      config,
      pool,
      connection,
      restarter: starter,
      halfMessages,
      outbox: createOutboxStarter({ client, taskQueue: config.temporal.taskQueue, logger }),
      repairs,
      completion: client.activity,
      prepareTemporal,
      circuits,
      logger,
      wrap,
    });
    stops.unshift(() => worker.stop());
    failed = rejectionOf(worker.finished);
    // whoever does not listen learns of it when stopping
    failed.catch(() => undefined);
  }
  if (!roles.includes('api')) return { failed };
  const [{ startExpress }, { startApi }] = await Promise.all([import('../express.js'), import('../api/server.js')]);
  const express = startExpress({ config, starter, circuits, logger, wrap: wrap ?? unwrapped });
  stops.unshift(() => express.stop());
  const api = await startApi({
    ...{ config, pool, doorPool, definitions: startable, contracts: contractsOf(definitions) },
    events: eventsOf(definitions),
    ...{ starter, express, circuits, halfMessages, repairs, logger, wrap },
  });
  stops.unshift(() => api.stop());
  return { apiUrl: api.url, failed };
}

/** Connections to the ledger, made when they are needed: most are for all, a few for deciding who is let in. */
function openPools(url: string, logger: Logger): { readonly pool: pg.Pool; readonly doorPool: pg.Pool } {
  const onIdleError = (err: Error): void =>
    logger.warn({ err }, 'an idle database connection broke; another takes its place');
  return {
    pool: createPool(url, { onIdleError }),
    doorPool: createPool(url, { max: 2, name: 'settle-door', onIdleError }),
  };
}

function definitionOf(type: string): SagaDefinition {
  const definition = definitions.find((each) => each.type === type);
  if (!definition) throw new Error(`saga type '${type}' is not one of this release; deploy the release that has it`);
  return definition;
}

async function rejectionOf(promise: Promise<unknown>): Promise<never> {
  await promise;
  return new Promise<never>(() => undefined);
}
