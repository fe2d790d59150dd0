import { copyFileSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { bundleWorkflowCode } from '@temporalio/worker';

// The second half of the build, run by plain Node after the compiler: what the compiler does not bring along.

const DIST = resolve(import.meta.dirname, '../..');
const ROOT = dirname(DIST);
const WORKFLOWS = join(DIST, 'workflows/index.js');
const BUNDLE = join(DIST, 'workflow-bundle.js');

/** What workflow code is made of; the packages count by the moment of their installation. */
const SOURCES = ['workflows', 'src/saga', 'src/messages'].map((folder) => join(DIST, folder));
const PACKAGES = join(ROOT, 'node_modules/.package-lock.json');

copyMigrations();
await bundleWorkflows();

function copyMigrations(): void {
  const from = join(ROOT, 'src/db/migrations');
  const to = join(DIST, 'src/db/migrations');
  // an earlier build may have left one that is gone, or has another number now
  rmSync(to, { recursive: true, force: true });
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) copyFileSync(join(from, name), join(to, name));
}

/** Takes 3 to 6 s, so it is done only when something has changed. */
async function bundleWorkflows(): Promise<void> {
  const newest = Math.max(...SOURCES.map(newestIn), changedAt(PACKAGES));
  if (changedAt(BUNDLE) > newest) return;
  const { code } = await bundleWorkflowCode({
    workflowsPath: WORKFLOWS,
    // evaluated once, frozen and shared: it keeps no state of a workflow, and evaluating its schemas anew for each saga was most of
    // what the saga's workflow cost
    preloadModules: [WORKFLOWS],
    logger: {
      log: () => undefined,
      trace: () => undefined,
      debug: () => undefined,
      info: () => undefined,
      warn: complain,
      error: complain,
    },
  });
  // a worker that starts meanwhile reads the old bundle or the new one, never half of it
  writeFileSync(`${BUNDLE}.${process.pid}`, code);
  renameSync(`${BUNDLE}.${process.pid}`, BUNDLE);
}

function newestIn(folder: string): number {
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.js'));
  return Math.max(0, ...files.map((name) => changedAt(join(folder, name))));
}

/** In ms since the epoch; 0 where there is no such file. */
function changedAt(file: string): number {
  return statSync(file, { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

function complain(message: string): void {
  process.stderr.write(`${message}\n`);
}
