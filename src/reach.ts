import pg from 'pg';
import { hasTable } from './db/has-table.js';

/** Long enough for a slow network, short enough that a wrong address is noticed. */
export const CONNECT_MS = 5_000;

/**
 * Makes sure that a database answers and, where a table is named, has been prepared.
 *
 * @throws Error, one line, with the name of its setting and its address, never its password
 */
export async function checkDatabase(setting: string, url: string, table?: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'settle-check',
  });
  client.on('error', () => undefined);
  const { hostname, port, pathname } = new URL(url);
  const where = `PostgreSQL at ${hostname}:${port === '' ? 5432 : port}${pathname} (${setting})`;
  let isPrepared: boolean;
  try {
    await client.connect();
    isPrepared = table === undefined || (await hasTable(client, table));
  } catch (cause) {
    throw new Error(`${where} cannot be reached: ${reasonOf(cause)}`, { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
  if (!isPrepared) throw new Error(`${where} has no '${table}'; run the command 'migrate' first`);
}

/** The first line of the innermost reason: the outer ones only say that connecting failed, or nothing at all. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const text = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
  return text.split('\n')[0] ?? text;
}
