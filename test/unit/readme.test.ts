import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS } from '../../src/config.js';
import type { Setting } from '../../src/config.js';
import * as checks from '../support/readme.js';

const readme = (): string => readFileSync(join(checks.ROOT, 'README.md'), 'utf8');

test('the README is read in a few minutes', () => {
  expect(readme().split('\n').length).toBeLessThanOrEqual(201);
});

test('the code in the README compiles', () => {
  const blocks = checks.codeBlocks(readme(), 'ts');
  expect(blocks.length).toBeGreaterThan(0);
  expect(checks.compile(blocks)).toEqual([]);
});

test.each(['participant', 'producer'])('the code in the page of the %s kit compiles', (kit) => {
  const page = readFileSync(join(checks.ROOT, 'src', kit, 'README.md'), 'utf8');
  const blocks = checks.codeBlocks(page, 'ts');
  expect(blocks.length).toBeGreaterThan(0);
  expect(checks.compile(blocks)).toEqual([]);
});

test('a mistake in the code of the README would be found', () => {
  const wrong = "import { defineSaga } from 'settle/saga';\nexport const wrong: number = defineSaga;";
  expect(checks.compile([wrong])).toEqual([
    expect.stringContaining("'export const wrong: number = defineSaga;': Type"),
  ]);
});

test('the table of settings has each setting there is, as it is, and no other', () => {
  const settings: readonly Setting[] = SETTINGS;
  const expected = settings.map(({ name, default: value = '', description }) =>
    checks.normalised(`| ${name} | ${value} | ${description} |`),
  );
  const table = readFileSync(join(checks.ROOT, 'src', 'settings.md'), 'utf8');
  expect(checks.settingRows(table).sort()).toEqual(expected.sort());
});

test('each promise of the README names a file with a test that carries its number', () => {
  const promises = checks.promises(readme());
  expect(promises.length).toBeGreaterThanOrEqual(8);
  expect(promises.filter((promise) => !checks.isProven(promise))).toEqual([]);
});

test('every file that the README names is there', () => {
  expect(checks.missingPaths(readme())).toEqual([]);
});
