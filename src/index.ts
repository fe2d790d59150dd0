// The server side of Settle, for a team that runs it with sagas and transports of its own.
// Definitions come from 'settle/saga', the workflow runner from 'settle/workflow', the consumer kit from 'settle/participant'.
export { ConfigError, isLoopback, loadConfig, SETTINGS } from './config.js';
export type { Config, Setting, TemporalConfig, TemporalTls } from './config.js';
export { startRoles } from './roles.js';
export { migrateAll } from './roles/migrate.js';
export type { Role, RolesOptions, RunningRoles } from './roles.js';
export { startApi } from './api/server.js';
export type { ApiHandle, ApiOptions } from './api/server.js';
export { installRuntime, startWorker } from './worker.js';
export type { RunningWorker, WorkerDependencies } from './worker.js';
export { createSagaStarter } from './api/saga-starter.js';
export type { SagaStarter, StarterOptions } from './api/saga-starter.js';
export { createPool, withTransaction } from './db/pool.js';
export type { PoolOptions, Transaction } from './db/pool.js';
export { migrate } from './db/migrate.js';
export type { BrokerRoute, HttpRoute, Route, RouteOptions, Routes, Transport } from './transports/transport.js';
export type { Wrap } from './saga/wrap.js';
