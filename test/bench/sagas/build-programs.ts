import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { transformSync } from '@swc/core';

const SOURCES = join(import.meta.dirname, 'programs');
/** Below `node_modules`, so that what they import is found. */
const TARGET = fileURLToPath(new URL('../../../node_modules/.cache/settle-bench/', import.meta.url));

/**
 * Compiles the programs that Settle is compared with, so that they run as they would in production: without a compiler in their process.
 *
 * @returns the folder that they are in
 */
export function buildPrograms(): string {
  mkdirSync(TARGET, { recursive: true });
  writeFileSync(join(TARGET, 'package.json'), '{ "type": "module" }\n');
  for (const name of readdirSync(SOURCES)) {
    const filename = join(SOURCES, name);
    const { code } = transformSync(readFileSync(filename, 'utf8'), {
      ...{ filename, module: { type: 'es6' } },
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    });
    writeFileSync(join(TARGET, name.replace(/\.ts$/, '.js')), code);
  }
  return TARGET;
}
