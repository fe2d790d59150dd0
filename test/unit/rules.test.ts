import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { withTempFolder } from '../support/temp-folder.js';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));
const CRUISER = join(ROOT, 'node_modules/dependency-cruiser/bin/dependency-cruise.mjs');
const RULES = join(ROOT, '.config/dependency-cruiser.cjs');
const PACKAGES = ['pg', 'zod', 'jest'];

interface Violation {
  readonly from: string;
  readonly to: string;
  readonly rule: { readonly name: string };
}

/** What the rules say of a project that has only these files. */
function violationsOf(files: Record<string, string>): Promise<string[]> {
  return withTempFolder(async (folder) => {
    const dependencies = { pg: '*', zod: '*' };
    const all: Record<string, string> = {
      'package.json': JSON.stringify({ type: 'module', dependencies, devDependencies: { jest: '*' } }),
      'tsconfig.json': JSON.stringify({ compilerOptions: { module: 'nodenext', types: [] }, include: ['src', 'test'] }),
      'src/db/pool.ts': 'export const pool = 1; export type Pool = number;',
      'src/saga/index.ts': 'export const saga = 1;',
      'src/worker.ts': 'export const worker = 1;',
      'test/support/x.ts': 'export const x = 1; export type X = number;',
      ...Object.fromEntries(
        PACKAGES.flatMap((name) => [
          [`node_modules/${name}/package.json`, JSON.stringify({ name, version: '1.0.0', main: 'index.js' })],
          [`node_modules/${name}/index.js`, 'module.exports = {};'],
        ]),
      ),
      ...files,
    };
    for (const [name, content] of Object.entries(all)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), content);
    }
    return await cruise(folder);
  });
}

async function cruise(folder: string): Promise<string[]> {
  const report = await new Promise<string>((resolve, reject) => {
    const options = { cwd: folder, maxBuffer: 16_000_000 };
    execFile(process.execPath, [CRUISER, 'src', '-c', RULES, '-T', 'json'], options, (error, stdout) => {
      if (stdout === '' && error) reject(new Error('the cruise did not run', { cause: error }));
      else resolve(stdout);
    });
  });
  const { summary } = JSON.parse(report) as { summary: { violations: Violation[] } };
  return summary.violations.map(({ from, to, rule }) => `${from} → ${to}: ${rule.name}`);
}

test('every import that the table forbids is caught', async () => {
  const violations = await violationsOf({
    'src/saga/bad.ts': "import { pool } from '../db/pool.js'; import pg from 'pg'; export const bad = [pool, pg];",
    'src/db/bad.ts':
      "import { worker } from '../worker.js'; import jest from 'jest'; export const bad = [worker, jest];",
    'src/api/bad.ts': "import { x } from '../../test/support/x.js'; import pg from 'pg'; export const bad = [x, pg];",
    'src/participant/a.ts': "import { b } from './b.js'; export const a = () => b;",
    'src/participant/b.ts': "import { a } from './a.js'; export const b = () => a;",
    'src/samples/bad.ts': "import { pool } from '../db/pool.js'; export const bad = pool;",
    'src/main.ts': "import { worker } from './worker.js'; export const main = worker;",
    'src/messages/bad.ts':
      "import { readFile } from 'node:fs'; import gone from './gone.js'; export const bad = [readFile, gone];",
  });
  expect(violations).toEqual(
    expect.arrayContaining([
      'src/saga/bad.ts → src/db/pool.ts: src/saga: our folders',
      expect.stringContaining('src/saga/bad.ts → node_modules/pg/index.js: src/saga: packages'),
      'src/db/bad.ts → src/worker.ts: nothing imports a composition root',
      expect.stringContaining('src/db/bad.ts → node_modules/jest/index.js: no development packages in production'),
      'src/api/bad.ts → test/support/x.ts: no source imports a test',
      expect.stringContaining('src/api/bad.ts → node_modules/pg/index.js: src/api: packages'),
      expect.stringMatching(/^src\/participant\/[ab]\.ts → src\/participant\/[ab]\.ts: no circles$/),
      'src/samples/bad.ts → src/db/pool.ts: src/samples: our folders',
      expect.stringMatching(/^src\/messages\/bad\.ts → (node:)?fs: pure code stays off the machine$/),
      'src/messages/bad.ts → ./gone.js: everything resolves',
      'src/main.ts → src/worker.ts: a process loads what it runs',
    ]),
  );
});

test('what the table allows passes, and types from anywhere but test', async () => {
  const violations = await violationsOf({
    'src/saga/good.ts':
      "import type { Pool } from '../db/pool.js'; import { z } from 'zod'; export const good = [z] as Pool;",
    'src/db/good.ts': "import { saga } from '../saga/index.js'; import pg from 'pg'; export const good = [saga, pg];",
    'src/messages/good.ts': "import { saga } from '../saga/index.js'; export const good = saga;",
    'src/main.ts':
      "import type { worker } from './worker.js'; export const main: typeof worker = (await import('./worker.js')).worker;",
    'src/api/bad.ts': "import type { X } from '../../test/support/x.js'; export const bad: X = 1;",
  });
  expect(violations).toEqual(['src/api/bad.ts → test/support/x.ts: no source imports a test']);
});
