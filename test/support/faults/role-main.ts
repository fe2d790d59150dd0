import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { pino } from 'pino';
import type * as configModule from '../../../src/config.js';
import type * as rolesModule from '../../../src/roles.js';
import type * as workerModule from '../../../src/worker.js';
import { armedWrap } from './crash-points.js';

// Runs roles of a build as production composes them, with their ports armed by the environment (see crash-points.ts):
//   node --import test/support/typescript.js role-main.ts <dist> api,worker,participants

const [dist = '', list = ''] = process.argv.slice(2);
const roles = list.split(',') as rolesModule.Role[];
const { loadConfig } = (await load('src/config.js')) as typeof configModule;
const { startRoles } = (await load('src/roles.js')) as typeof rolesModule;

const config = loadConfig();
const logger = pino({ level: config.logLevel });
if (roles.includes('worker')) ((await load('src/worker.js')) as typeof workerModule).installRuntime(logger);
const running = await startRoles({
  config,
  roles,
  logger,
  wrap: armedWrap(process.env),
});
logger.info({ roles }, 'ready');

process.once('SIGTERM', () => {
  running.stop().then(
    () => process.exit(0),
    () => process.exit(1),
  );
});
running.failed.catch((error: unknown) => {
  logger.fatal({ err: error }, 'a role failed');
  process.exit(1);
});

function load(path: string): Promise<unknown> {
  return import(pathToFileURL(join(dist, path)).href);
}
