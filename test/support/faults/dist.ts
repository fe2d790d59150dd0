import { existsSync } from 'node:fs';
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, type Logger } from '@temporalio/worker';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));

/** A seeded bug: one exact change of the compiled code. */
export interface Mutation {
  /** Below `dist`, e.g. `activities/dispatch.js`. */
  readonly file: string;
  /** Occurs exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** A build of our own, which nobody rebuilds under us: `dist` beside a link to `node_modules`. */
export interface Build {
  /** Absolute path of its `dist`. */
  readonly dist: string;
  /** The workflow bundle in it. */
  readonly bundle: string;
}

/**
 * Copies the build of this checkout.
 *
 * @throws Error when there is none
 */
export async function copyBuild(folder: string): Promise<Build> {
  const source = join(ROOT, 'dist');
  if (!existsSync(join(source, 'src', 'worker.js'))) throw new Error('there is no build; run: npm run build');
  const build = await copyTo(source, folder);
  if (!existsSync(build.bundle)) await bundle(build);
  return build;
}

/**
 * Copies a build with a bug in it.
 *
 * @throws Error when the change does not fit exactly once: then the code has moved on, and the mutation must follow
 */
export async function mutateBuild(original: Build, folder: string, mutations: readonly Mutation[]): Promise<Build> {
  const build = await copyTo(original.dist, folder);
  for (const { file, find, replace } of mutations) {
    const path = join(build.dist, file);
    const parts = (await readFile(path, 'utf8')).split(find);
    if (parts.length !== 2) throw new Error(`'${find}' occurs ${parts.length - 1} times in '${file}', not once`);
    await writeFile(path, parts.join(replace));
  }
  if (mutations.some(({ file }) => /^(workflows|src\/(saga|messages))\//.test(file))) await bundle(build);
  return build;
}

async function copyTo(source: string, folder: string): Promise<Build> {
  await mkdir(folder, { recursive: true });
  const dist = join(folder, 'dist');
  await cp(source, dist, { recursive: true });
  await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  await cp(join(ROOT, 'package.json'), join(folder, 'package.json'));
  return { dist, bundle: join(dist, 'workflow-bundle.js') };
}

const SILENT: Logger = {
  log: () => undefined,
  trace: () => undefined,
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
};

async function bundle({ dist, bundle: path }: Build): Promise<void> {
  const workflowsPath = join(dist, 'workflows', 'index.js');
  // as the build does
  const { code } = await bundleWorkflowCode({ workflowsPath, preloadModules: [workflowsPath], logger: SILENT });
  await writeFile(path, code);
}
