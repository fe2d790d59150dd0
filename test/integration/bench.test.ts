import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config.js';
import { benchSagas } from '../bench/sagas/sagas.js';
import type { Results } from '../bench/sagas/report.js';

const pathOf = (file: string): string => fileURLToPath(new URL(`../../${file}`, import.meta.url));

/** The API from its sources: the express lane needs no worker while all is well. */
const API = { args: ['--import', pathOf('test/support/typescript.js'), pathOf('src/main.ts')], command: 'api' };

const foldersLeft = (): string[] => readdirSync(tmpdir()).filter((name) => name.startsWith('settle-bench-'));

test('the benchmark measures the plain program and the express lane, checks their books and leaves nothing behind', async () => {
  const before = foldersLeft();
  const numbers: Record<string, number> = { sagas: 20, seconds: 1 };
  const { text, json, faults } = await benchSagas({
    config: loadConfig({ ...process.env, TEMPORAL_ADDRESS: process.env['SETTLE_TEST_TEMPORAL_ADDRESS'] }),
    program: API,
    words: ['plain', 'express', 'one', 'more'],
    number: (option, otherwise) => numbers[option] ?? otherwise,
    has: () => false,
    progress: () => undefined,
  });
  const { figures } = json as Results;

  expect(faults).toEqual([]);
  expect(figures.map(({ contestant, window }) => `${contestant} ${window}`)).toEqual([
    ...['plain one', 'plain more', 'express one', 'express more'],
  ]);
  for (const { window, sagas, completed, perSecond, accept, settle, cpu } of figures) {
    expect(completed).toBe(sagas);
    expect(window === 'one' ? sagas : 20).toBe(20);
    expect(perSecond).toBeGreaterThan(0);
    expect(accept.p50).toBeGreaterThan(0);
    expect(settle.p99).toBeGreaterThanOrEqual(settle.p50);
    expect(cpu.app).toBeGreaterThan(0);
  }
  expect(text).toContain('express lane to plain program, throughput at 64');
  expect(foldersLeft()).toEqual(before);
});
