import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { createDatabase, useDatabase, usePool, withDatabase } from '../support/databases.js';
import { eventually } from '../support/eventually.js';
import { withTempFolder } from '../support/temp-folder.js';

const database = useDatabase('producer');
const pool = usePool(database);

test('a test file has a migrated database of its own', async () => {
  const { rows } = await pool.query<{ count: number }>('select count(*)::int as count from settle.saga');
  expect(rows).toEqual([{ count: 0 }]);
});

test('copies made at the same moment do not know of each other', async () => {
  const names = ['inventory', 'accounts', 'inventory', 'accounts'] as const;
  const databases = await Promise.all(names.map((name) => createDatabase(name)));
  expect(new Set(databases.map(({ url }) => url)).size).toBe(4);
  await Promise.all(databases.map((each) => each.drop()));
});

test('a database is gone when its test has failed', async () => {
  let url = '';
  const failing = withDatabase('accounts', (given) => {
    url = given;
    return Promise.reject(new Error('the test failed'));
  });
  await expect(failing).rejects.toThrow('the test failed');
  const name = new URL(url).pathname.slice(1);
  const { rows } = await pool.query('select 1 from pg_database where datname = $1', [name]);
  expect(rows).toEqual([]);
});

test('a test that leaves a connection open is told so', async () => {
  const left = await createDatabase('accounts');
  const client = new pg.Client({ connectionString: left.url, application_name: 'forgotten' });
  const broken = new Promise((resolve) => client.on('error', resolve));
  await client.connect();
  await expect(left.drop()).rejects.toThrow(/1 connections .* were left open: forgotten \(idle\)/);
  await broken;
});

test('waiting for what never comes tells the last reason', async () => {
  const never = eventually(() => Promise.reject(new Error('still 3 of 5')), { timeoutMs: 50 });
  await expect(never).rejects.toThrow('still not so after 50 ms: still 3 of 5');
});

test('a temporary folder is gone with its files, also after a failure', async () => {
  let path = '';
  const failing = withTempFolder(async (folder) => {
    path = join(folder, 'file');
    await writeFile(path, 'x');
    throw new Error('the test failed');
  });
  await expect(failing).rejects.toThrow('the test failed');
  expect(existsSync(path)).toBe(false);
});

test('a process may run while its test does', async () => {
  const child = spawn('sleep', ['60']);
  expect(child.pid).toBeGreaterThan(0);
  await new Promise((resolve) => {
    child.once('exit', resolve);
    child.kill();
  });
});
