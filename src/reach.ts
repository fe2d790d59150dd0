import pg from 'pg';

/** Long enough for a slow network, short enough that a wrong address is noticed. */
export const CONNECT_MS = 5_000;

/**
 * Makes sure that a database answers.
 *
 * @throws Error, one line, with the name of its setting and its address, never its password
 */
export async function checkDatabase(setting: string, url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: CONNECT_MS,
    application_name: 'settle-check',
  });
  client.on('error', () => undefined);
  try {
    await client.connect();
  } catch (cause) {
    const { hostname, port, pathname } = new URL(url);
    const where = `PostgreSQL at ${hostname}:${port === '' ? 5432 : port}${pathname}`;
    throw new Error(`${where} (${setting}) cannot be reached: ${reasonOf(cause)}`, { cause });
  } finally {
    await client.end().catch(() => undefined);
  }
}

/** The first line of the innermost reason: the outer ones only say that connecting failed, or nothing at all. */
export function reasonOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return reasonOf(error.errors[0]);
  if (!(error instanceof Error)) return String(error);
  const text = error.message === '' ? ((error as NodeJS.ErrnoException).code ?? error.name) : error.message;
  return text.split('\n')[0] ?? text;
}
